"""The bar of long calls: silent when it shall be, and never a warning."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys

import pytest

from spikemnist._progress import progress_bar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "stream", "shown"),
    [(True, Terminal(), True), (True, io.StringIO(), False), (False, Terminal(), False)],
)
def test_it_shows_on_a_terminal_and_where_it_is_asked_for(
    progress: bool, stream: io.StringIO, shown: bool
) -> None:
    with progress_bar(progress=progress, total=3, file=stream, unit="image") as bar:
        bar.update(3)
    assert ("3/3" in stream.getvalue()) == shown


def test_without_widgets_nothing_that_wants_them_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "tqdm.auto", raising=False)
    progress_bar(progress=True, total=1, file=io.StringIO()).close()
    assert "tqdm.auto" not in sys.modules


def test_no_room_imports_it_before_it_is_needed() -> None:
    code = (
        "import sys, spikemnist.training, spikemnist.plasticity; print('tqdm.auto' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "False", done.stderr


def test_without_a_stream_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(progress=True, total=3) as bar:
        bar.update(3)

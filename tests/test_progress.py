"""The bar of long calls: silent when it shall be, and never a warning."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from spikemnist import LatencyEncoder, LeakyMLP, evaluate, load_digits
from spikemnist._progress import progress_bar
from spikemnist.data import download, recordings
from spikemnist.training import evaluation

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


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


class Response(io.BytesIO):
    """A body of 100,000 bytes from the net."""

    def __init__(self) -> None:
        super().__init__(bytes(100_000))
        self.headers = {"Content-Length": "100000"}


def fetch(folder: Path) -> None:
    assert download._read(Response(), "images.gz") == bytes(100_000)  # type: ignore[arg-type]


def check(folder: Path) -> None:
    (folder / "Test.zip").write_bytes(bytes(100_000))
    with pytest.raises(ValueError, match="is not the official archive"):
        recordings.check_archive(folder / "Test.zip")


def judge(folder: Path) -> None:
    evaluate(LeakyMLP(hidden=(8,)), load_digits()[1][:100], encoder=LatencyEncoder(num_steps=4))


@pytest.mark.parametrize(
    ("room", "call", "amount"),
    [(download, fetch, 100_000), (recordings, check, 100_000), (evaluation, judge, 1)],
)
def test_long_calls_show_a_bar_after_two_seconds(
    room: ModuleType, call: Any, amount: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def record(**options: Any) -> Any:
        made.append(progress_bar(**{**options, "file": Terminal(), "delay": 0.0}))
        assert (options["progress"], options["delay"]) == (True, 2.0)
        return made[-1]

    monkeypatch.setattr(room, "progress_bar", record)
    call(tmp_path)
    (bar,) = made
    assert (bar.n, bar.total) == (amount, amount)

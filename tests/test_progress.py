"""The bar of long calls: where it shows, and the notice that kernels are compiled."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from spikemnist import Classifier, LeakyMLP, evaluate, load_digits
from spikemnist._progress import COMPILING, progress_bar, silence
from spikemnist.training import evaluation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "stream", "visible"),
    [(True, Terminal(), True), (True, io.StringIO(), False), (False, Terminal(), False)],
)
def test_a_bar_shows_on_a_terminal(progress: bool, stream: io.StringIO, visible: bool) -> None:
    with progress_bar(progress=progress, total=3, file=stream, unit="image") as bar:
        bar.update(3)
    assert ("3/3" in stream.getvalue()) == visible


def test_silence_hides_bars() -> None:
    terminal = Terminal()
    with silence(), progress_bar(progress=True, total=3, file=terminal) as bar:
        bar.update(3)
    assert terminal.getvalue() == ""


def test_no_bar_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw."""
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(progress=True, total=1) as bar:
        bar.update()


COMPILE = """
import contextlib, io, sys
import torch
from spikemnist._progress import compilation_announced, progress_bar
from spikemnist.kernels import spike_lists

stream = io.StringIO()
stream.isatty = lambda: True
context = {
    "command": compilation_announced(),
    "bar": progress_bar(progress=True, total=1, file=stream),
}[sys.argv[1]]
dtypes = (torch.float32, torch.float64) if sys.argv[1] == "command" else (torch.float32,)
with context:
    for dtype in dtypes:
        spike_lists.pack(torch.ones(3, 2, 70, dtype=dtype))
sys.stderr.write(stream.getvalue())
"""


@pytest.mark.slow
@pytest.mark.parametrize("context", ["command", "bar"])
def test_the_first_compilation_is_announced(context: str, tmp_path: Path) -> None:
    """A kernel from the cache is not."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    counts = []
    for _ in range(1 + (context == "command")):
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, context],
            capture_output=True,
            encoding="utf-8",
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        counts.append(done.stderr.count(COMPILING))
    assert counts in ([1], [1, 0])


def test_without_ipywidgets_the_plain_bar_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "tqdm.auto", raising=False)
    with progress_bar(progress=True, total=1, file=io.StringIO()):
        pass
    assert "tqdm.auto" not in sys.modules


def test_no_room_imports_bars_or_numba_before_they_are_needed() -> None:
    code = (
        "import sys, spikemnist.training, spikemnist.plasticity; "
        "print([name for name in ('tqdm.auto', 'numba') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "[]", done.stderr


def test_a_long_evaluation_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Any] = []

    @contextlib.contextmanager
    def record(**options: Any) -> Iterator[Any]:
        assert (options["progress"], options["delay"]) == (True, 2.0)
        with progress_bar(**{**options, "file": Terminal(), "delay": 0.0}) as bar:
            bars.append(bar)
            yield bar

    monkeypatch.setattr(evaluation, "progress_bar", record)
    evaluate(Classifier(LeakyMLP(hidden=(8,)), "latency"), load_digits()[1][:100])
    assert [(bar.n, bar.total) for bar in bars] == [(1, 1)]

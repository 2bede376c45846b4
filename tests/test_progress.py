"""The bar of long calls: where it shows, and the notice that kernels are compiled."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from spikemnist import Classifier, LeakyMLP, evaluate, load_digits
from spikemnist._progress import progress_bar, silence
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
from spikemnist import LatencyEncoder
from spikemnist._progress import compilation_announced, progress_bar
from spikemnist.kernels import spike_lists

terminal = io.StringIO()
terminal.isatty = lambda: True
bar = contextlib.nullcontext()
if "bar" in sys.argv:
    bar = progress_bar(progress=True, total=1, file=terminal)
with compilation_announced(), bar:
    for dtype in (torch.float32, torch.float64):
        spike_lists.pack(torch.ones(3, 2, 70, dtype=dtype))
    LatencyEncoder(num_steps=8)(torch.ones(3, 28, 28))
print(terminal.getvalue())
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["command", "bar"])
def test_the_first_compilation_for_each_purpose_is_announced(place: str, tmp_path: Path) -> None:
    """Above the bar, if there is one. A kernel from the cache is not announced."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for is_cached in (False, True)[: 1 + (place == "command")]:
        done = subprocess.run(
            [sys.executable, "-c", COMPILE, place],
            capture_output=True,
            encoding="utf-8",
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        shown, other = (done.stdout, done.stderr)[:: 1 if place == "bar" else -1]
        purposes = re.findall(r"compiling kernels for (\w+); later runs reuse them\n", shown)
        assert purposes == ([] if is_cached else ["spikes", "codes"])
        assert "compiling" not in other


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

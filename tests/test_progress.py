"""The bar of long calls: where it shows, and the notice that kernels are compiled."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from spikemnist import Classifier, LeakyMLP, evaluate, load_digits
from spikemnist._progress import PURPOSES, compilation_announced, progress_bar, silence
from spikemnist.kernels import compiler
from spikemnist.kernels.cache import ROOMS
from spikemnist.models import classifier


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "stream", "context", "visible"),
    [
        (True, Terminal(), contextlib.nullcontext(), True),
        (True, io.StringIO(), contextlib.nullcontext(), False),
        (False, Terminal(), contextlib.nullcontext(), False),
        (True, Terminal(), silence(), False),
    ],
    ids=["terminal", "file", "off", "silence"],
)
def test_where_a_bar_shows(
    progress: bool,
    stream: io.StringIO,
    context: Any,
    visible: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with context, progress_bar(progress=progress, total=3, unit="image") as bar:
        bar.update(3)
    assert ("3/3" in stream.getvalue()) == visible
    assert visible or stream.getvalue() == ""


def test_no_bar_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw."""
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(progress=True, total=1) as bar:
        bar.update()


def call(function: Any, room: str, *dtypes: Any) -> None:
    """Call a function as a kernel of a package, compiled or loaded for each type."""
    function.__module__ = f"{room}.small"
    kernel = compiler.kernel(function)
    for dtype in dtypes:
        kernel(np.zeros(1, np.int64), np.ones(2, dtype))


@pytest.mark.parametrize("place", ["command", "bar"])
def test_notice_of_a_first_compilation(
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Above the bar, if there is one. Neither pieces nor kernels from the cache are announced."""
    for room in ROOMS:  # their kernels keep the folder of the time of their import
        importlib.import_module(f"spikemnist.{room}")
    compiler._listen()
    # Listen as a new process does, with an empty cache.
    monkeypatch.setattr(numba.core.event, "_registered", defaultdict(list))
    compiler._listen.cache_clear()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def one(numbers: Any) -> int:
        return 1

    one.__module__ = "spikemnist.plasticity.small"
    piece = compiler.routine(one)

    def add(queue: Any, numbers: Any) -> None:
        numbers += piece(numbers)

    def double(queue: Any, numbers: Any) -> None:
        numbers *= 2

    call(double, "spikemnist.engine", np.float32)
    terminal = Terminal()
    bar: Any = contextlib.nullcontext()
    if place == "bar":
        bar = progress_bar(progress=True, total=1, file=terminal)
    with compilation_announced(), bar:
        call(double, "spikemnist.engine", np.float32)  # from the cache
        call(add, "tests", np.int8)
        call(add, "spikemnist.encoding", np.float32, np.float64)
        call(add, "spikemnist.kernels", np.int64)
    printed = {"command": capsys.readouterr().err, "bar": terminal.getvalue()}
    shown = printed.pop(place)
    purposes = re.findall(r"compiling kernels for (\w+); later runs reuse them\n", shown)
    assert purposes == ["codes", "spikes"]
    assert "compiling" not in "".join(printed.values())


def test_purposes_of_kernels() -> None:
    assert set(PURPOSES) == set(ROOMS)


def test_the_bar_without_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "tqdm.auto", raising=False)
    with progress_bar(progress=True, total=1, file=io.StringIO()):
        pass
    assert "tqdm.auto" not in sys.modules


def test_the_bar_of_a_long_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Any] = []

    @contextlib.contextmanager
    def record(**options: Any) -> Iterator[Any]:
        assert (options["progress"], options["delay"]) == (True, 2.0)
        with progress_bar(**{**options, "file": Terminal(), "delay": 0.0}) as bar:
            bars.append(bar)
            yield bar

    monkeypatch.setattr(classifier, "progress_bar", record)
    evaluate(Classifier(LeakyMLP(hidden=(8,)), "latency"), load_digits()[1][:100])
    assert [(bar.n, bar.total) for bar in bars] == [(1, 1)]

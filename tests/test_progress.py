"""The bar of long calls: silent when it shall be, and never a warning."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from spikemnist import LatencyEncoder, LeakyMLP, _progress, evaluate, load_digits
from spikemnist._progress import compilation_announced, progress_bar
from spikemnist.kernels import compiler
from spikemnist.training import evaluation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def test_without_a_standard_error_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a daemon, or under pythonw."""
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(progress=True, total=1) as bar:
        bar.update()
    with compilation_announced():
        compile_for(0)


@pytest.fixture(autouse=True)
def first_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "_noticed", False)


class Clock:
    """The time of bars, which goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def compile_for(seconds: float, clock: Clock | None = None) -> None:
    """Do what Numba's events make happen when a kernel is compiled."""
    if compiler._watchers:
        began, ended = compiler._watchers[-1]
        began()
        (clock or Clock()).sleep(seconds)
        ended()


def test_compiling_is_announced_once_and_no_part_of_the_estimate(clock: Clock) -> None:
    terminal = Terminal()
    with progress_bar(progress=True, total=1000, file=terminal, unit="batch") as bar:
        for _ in range(2):
            compile_for(10.0, clock)
        for _ in range(4):
            clock.sleep(0.125)
            bar.update(100)
        rate = bar.format_dict["rate"] or bar.n / bar.format_dict["elapsed"]
        assert bar.format_dict["elapsed"] == 0.5
        assert rate == pytest.approx(800)
    lines = [
        line for line in terminal.getvalue().replace("\r", "\n").splitlines() if "comp" in line
    ]
    assert [line.strip() for line in lines] == ["compiling kernels, once: up to 20 s"]
    assert compiler._watchers == []


@pytest.mark.parametrize(("progress", "stream"), [(True, io.StringIO()), (False, Terminal())])
def test_where_no_bar_is_shown_nothing_is_announced(
    progress: bool, stream: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(progress=progress, total=3, file=stream):
        compile_for(0)
    assert stream.getvalue() == "".join(capfd.readouterr()) == ""


def test_a_command_announces_it_without_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with compilation_announced():
        compile_for(0)
        compile_for(0)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "spikemnist: compiling kernels, once: up to 20 s"


COMPILE = """
import torch
from spikemnist._progress import compilation_announced
from spikemnist.kernels import spike_lists
with compilation_announced():
    for dtype in (torch.float32, torch.float64):
        spike_lists.pack(torch.ones(3, 2, 70, dtype=dtype))
"""


def test_a_kernel_that_is_in_no_cache_is_announced_and_one_that_is_is_not(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", COMPILE], capture_output=True, encoding="utf-8", env=environment
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stderr.count("compiling kernels, once"))
    assert said == [1, 0]


def test_without_widgets_nothing_that_wants_them_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.delitem(sys.modules, "tqdm.auto", raising=False)
    with progress_bar(progress=True, total=1, file=io.StringIO()):
        pass
    assert "tqdm.auto" not in sys.modules


def test_heavy_packages_are_imported_only_when_needed() -> None:
    code = (
        "import sys, spikemnist.training, spikemnist.plasticity; spikemnist.load_digits(); "
        "print([name for name in ('tqdm.auto', 'numba', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "[]", done.stderr


def test_evaluate_shows_a_bar_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    @contextlib.contextmanager
    def record(**options: Any) -> Iterator[Any]:
        assert (options["progress"], options["delay"]) == (True, 2.0)
        with progress_bar(**{**options, "file": Terminal(), "delay": 0.0}) as bar:
            made.append(bar)
            yield bar

    monkeypatch.setattr(evaluation, "progress_bar", record)
    evaluate(LeakyMLP(hidden=(8,)), load_digits()[1][:100], encoder=LatencyEncoder(num_steps=4))
    (bar,) = made
    assert (bar.n, bar.total) == (1, 1)

"""The bar of long calls: where it shows, and the notice that kernels are compiled."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from spikemnist import Classifier, LeakyMLP, evaluate, load_digits
from spikemnist._progress import print_note, progress_bar, silence
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
    with context, progress_bar(progress=progress, total=3, delay=0, leave=True) as bar:
        bar.update(3)
    assert ("3/3" in stream.getvalue()) == visible
    assert visible or stream.getvalue() == ""


def test_no_bar_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under pythonw."""
    monkeypatch.setattr(sys, "stderr", None)
    with progress_bar(progress=True, total=1) as bar:
        bar.update()


def test_notice_above_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(progress=True, total=1, delay=0):
        print_note("a note")
    assert re.search(r"\r *\rspikemnist: a note\n\r +0%", terminal.getvalue())


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
        assert options["progress"]
        with progress_bar(**{**options, "file": Terminal(), "delay": 0.0}) as bar:
            bars.append(bar)
            yield bar

    monkeypatch.setattr(classifier, "progress_bar", record)
    evaluate(Classifier(LeakyMLP(hidden=(8,)), "latency"), load_digits()[1][:100])
    assert [(bar.n, bar.total) for bar in bars] == [(1, 1)]

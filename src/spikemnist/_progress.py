"""Progress of long calls, shown on a terminal or in a notebook."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from spikemnist.kernels import compiler

if TYPE_CHECKING:
    from tqdm import tqdm

PURPOSES = {"encoding": "codes", "engine": "networks", "kernels": "spikes", "plasticity": "STDP"}
"""What the kernels of a subpackage are for."""

_silent = False


@contextlib.contextmanager
def progress_bar(*, progress: bool, **options: Any) -> Iterator[tqdm[Any]]:
    """Show a tqdm bar, silent unless on a terminal or in a notebook.

    Kernels that are compiled meanwhile are announced.

    Parameters
    ----------
    progress
        Whether to show a bar at all.
    options
        Options of `tqdm.tqdm`.
    """
    # `tqdm.auto` draws a widget in a notebook, and warns on import if ipywidgets is missing.
    if progress and importlib.util.find_spec("ipywidgets"):
        from tqdm.auto import tqdm
    else:
        from tqdm.std import tqdm
    # Without a stream, as behind `pythonw`, tqdm would fail at its first output.
    silent = _silent or not progress or (options.get("file") is None and sys.stderr is None)
    with tqdm(disable=True if silent else None, **options) as bar:
        if bar.disable:
            yield bar
            return
        with compiler.watched(lambda room: bar.write(_compiling(room), file=bar.fp)):
            yield bar


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Show no bar within the context."""
    global _silent
    _silent = True
    try:
        yield
    finally:
        _silent = False


def note(text: str, *, progress: bool = True) -> None:
    """Print a line on standard error, on a terminal or not, unless progress is off."""
    if progress and not _silent and sys.stderr is not None:
        print(f"spikemnist: {text}", file=sys.stderr, flush=True)


def compilation_announced() -> AbstractContextManager[None]:
    """Announce on standard error that kernels are compiled when no bar is shown."""
    return compiler.watched(lambda room: note(_compiling(room)))


def write_line(bar: tqdm[Any], text: str, *, progress: bool) -> None:
    """Print a line on standard error, above the bar if it is visible, unless progress is off."""
    if not bar.disable:
        bar.write(text, file=bar.fp)
    elif progress and not _silent and sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def _compiling(room: str) -> str:
    return f"compiling kernels for {PURPOSES.get(room, room)}; later runs reuse them"

"""Progress of long calls, shown on a terminal or in a notebook."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_silent = False


@contextlib.contextmanager
def progress_bar(
    *, progress: bool, delay: float = 2.0, leave: bool = False, **options: Any
) -> Iterator[tqdm[Any]]:
    """Show a tqdm bar, silent unless on a terminal or in a notebook.

    Parameters
    ----------
    progress
        Whether to show a bar at all.
    delay, leave
        Seconds before the bar appears, and whether it stays: those of work that may be short.
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
    with tqdm(disable=True if silent else None, delay=delay, leave=leave, **options) as bar:
        yield bar


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Show no bar and no note within the context."""
    global _silent
    _silent = True
    try:
        yield
    finally:
        _silent = False


def print_note(text: str, *, progress: bool = True) -> None:
    """Print a line on standard error, above any visible bar, unless progress is off."""
    if progress and not _silent and sys.stderr is not None:
        from tqdm.std import tqdm

        tqdm.write(f"spikemnist: {text}", file=sys.stderr)


def write_line(bar: tqdm[Any], text: str, *, progress: bool) -> None:
    """Print a line on standard error, above the bar if it is visible, unless progress is off."""
    if not bar.disable:
        bar.write(text, file=bar.fp)
    elif progress and not _silent and sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)

"""Progress of long calls, shown on a terminal or in a notebook."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from spikemnist.kernels import compiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tqdm import tqdm

COMPILING = "compiling kernels, once: up to 20 s"

_noticed = False
_silent = False


@contextlib.contextmanager
def progress_bar(*, progress: bool, **options: Any) -> Iterator[tqdm[Any]]:
    """Show a tqdm bar, silent unless on a terminal or in a notebook.

    The first kernel that is compiled meanwhile is announced. Its compilation is left out of the
    estimate of the remaining time.

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
    # Without a stream, as behind `pythonw` or after `2>&-`, tqdm would fail at its first output.
    silent = _silent or not progress or (options.get("file") is None and sys.stderr is None)
    with tqdm(disable=True if silent else None, **options) as bar:
        if bar.disable:
            yield bar
            return
        say = _once(lambda text: bar.write(text, file=bar.fp))
        with compiler.watched(compiler.Watcher(say, bar.unpause)):
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


def note(text: str, *, progress: bool) -> None:
    """Print a line on standard error, on a terminal or not, unless progress is off."""
    if progress and not _silent and sys.stderr is not None:
        print(f"spikemnist: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def compilation_announced() -> Iterator[None]:
    """Announce on standard error that kernels are compiled when no bar is shown."""

    def say(text: str) -> None:
        if sys.stderr is not None:
            print(f"spikemnist: {text}", file=sys.stderr, flush=True)

    with compiler.watched(compiler.Watcher(_once(say), lambda: None)):
        yield


def _once(say: Callable[[str], object]) -> Callable[[], None]:
    """Return a function that announces the first kernel that this process compiles."""

    def began() -> None:
        global _noticed
        if not _noticed:
            _noticed = True
            say(COMPILING)

    return began

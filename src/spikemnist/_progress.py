"""What a terminal or a notebook shows of calls that take long."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from spikemnist.kernels import compiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tqdm import tqdm

COMPILING = "compiling kernels, {}"
ONCE = "once: up to 20 s"
EACH_TIME = (
    "at each start, up to 20 s: no folder can be written to cache them; NUMBA_CACHE_DIR names "
    "another one"
)

_noticed = False


@contextlib.contextmanager
def progress_bar(*, progress: bool, **options: Any) -> Iterator[tqdm[Any]]:
    """Show a bar of tqdm's, silent unless on a terminal or in a notebook.

    The first kernel that is compiled meanwhile is announced, and the time that it takes is no part
    of the estimate of the rest.

    Parameters
    ----------
    progress
        Whether there shall be one at all.
    options
        Those of `tqdm.tqdm`.
    """
    # `tqdm.auto` draws a widget in a notebook, and warns as soon as it is imported where there are
    # no widgets.
    if progress and importlib.util.find_spec("ipywidgets"):
        from tqdm.auto import tqdm
    else:
        from tqdm.std import tqdm
    # Without a stream, as behind `pythonw` or after `2>&-`, tqdm would fail at its first word.
    silent = not progress or (options.get("file") is None and sys.stderr is None)
    with tqdm(disable=True if silent else None, **options) as bar:
        if bar.disable:
            yield bar
            return
        say = _once(lambda text: bar.write(text, file=bar.fp))
        with compiler.watched(compiler.Watcher(say, bar.unpause)):
            yield bar


@contextlib.contextmanager
def compilation_announced() -> Iterator[None]:
    """Say on standard error when kernels are compiled and no bar is shown."""

    def say(text: str) -> None:
        if sys.stderr is not None:
            print(f"spikemnist: {text}", file=sys.stderr, flush=True)

    with compiler.watched(compiler.Watcher(_once(say), lambda: None)):
        yield


def _once(say: Callable[[str], object]) -> Callable[[bool], None]:
    """Return what announces the first kernel that this process compiles."""

    def began(cached: bool) -> None:
        global _noticed
        if not _noticed:
            _noticed = True
            say(COMPILING.format(ONCE if cached else EACH_TIME))

    return began

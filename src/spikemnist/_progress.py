"""The progress bar of calls that take long."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(*, progress: bool, **options: Any) -> tqdm[Any]:
    """Return a bar of tqdm's, silent unless on a terminal or in a notebook.

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
    return tqdm(disable=True if silent else None, **options)

"""Files that are either the old one or the new one, never half of one."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file, then move it to ``path`` in one step.

    The temporary file lies in the folder of ``path``, so that the rename never crosses a file
    system; it is flushed to the disk before the rename. A process killed at any instant leaves
    either the previous file or the whole new one.

    Parameters
    ----------
    path
        Where the file goes; its folder is made when it is missing.
    write
        Called with the temporary file's path, which it must create; that path keeps the suffix
        of ``path``, by which many writers choose their format.

    Returns
    -------
    pathlib.Path
        ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path

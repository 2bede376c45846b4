"""Atomic writes: a file is either the old one or the whole new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

PREFIX = ".spikemnist-"
"""Prefix of temporary file names, short because Windows limits paths to 260 characters."""


def write_atomically(
    path: str | os.PathLike[str], write: Callable[[Path], object], *, new: bool = False
) -> Path:
    """Let ``write`` fill a temporary file, then move it to ``path`` in one step.

    The temporary file lies in the folder of ``path``, so that the rename never crosses a file
    system. It is flushed to the disk before the rename. A process killed at any instant leaves
    either the previous file or the whole new one.

    Parameters
    ----------
    path
        File to write; a missing folder is created.
    write
        Function called with the path of the temporary file, which it creates. The path has the
        suffix of ``path``, by which many writers choose their format.
    new
        Whether an existing file is an error. Of several processes that write one at once, a single
        one succeeds.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    FileExistsError
        If the file must be new, and is not.
    OSError
        If the disk is full or the file cannot be written, or if ``path`` is a folder, a device or
        a pipe. The message names ``path`` and the reason.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a folder, a device, a pipe
        raise OSError(f"{path} is not a regular file: choose another path")
    if path.parent.exists() and not path.parent.is_dir():
        raise NotADirectoryError(f"{path.parent} is not a folder: choose another one")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{PREFIX}{secrets.token_hex(4)}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        (_link if new else _replace)(temporary, path)
    except OSError as error:
        if error.errno is None or PREFIX not in str(error.filename or PREFIX):
            raise
        # A failed write names no file, and the name of the temporary file would not help.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # gone, or held by another program: the reason counts
            temporary.unlink()
    return path


def _link(temporary: Path, path: Path) -> None:
    """Give a whole file its name, unless there is one of this name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name comes first, then the content
        with path.open("xb") as file:
            try:
                file.write(temporary.read_bytes())
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                path.unlink()
                raise


def _replace(temporary: Path, path: Path) -> None:
    """Move a file onto another; on Windows a virus scanner may hold one of them for a moment."""
    for pause in (0.1, 0.2, 0.4, 0.8):
        with contextlib.suppress(PermissionError):
            temporary.replace(path)
            return
        time.sleep(pause)
    temporary.replace(path)

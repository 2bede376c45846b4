"""Atomic writes: a file is either the old one or the whole new one."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = ".spikemnist-"
"""Prefix of temporary file names, short because Windows limits paths to 260 characters."""

BUSY = (5, 32, 33)
"""Windows error codes of a file held by another program: denied, sharing, lock."""

WAITS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.65)
"""Seconds between attempts to replace a file held by another program: 2 s in all."""

AGE = 60.0
"""Age in seconds from which a temporary file counts as abandoned, where no lock can tell."""


def write_atomically(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Let ``write`` fill a temporary file, then move it to ``path`` in one step.

    The temporary file lies in the folder of ``path``, so that the rename never crosses a file
    system. It is flushed to the disk before the rename. A process killed at any instant leaves
    either the previous file or the whole new one. Temporary files of killed writers in the same
    folder are removed.

    Parameters
    ----------
    path
        File to write; a missing folder is created.
    write
        Function called with the path of the temporary file, which exists and is empty. The path has
        the suffix of ``path``, by which many writers choose their format.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    OSError
        If the disk is full or the file cannot be written. The message names ``path`` and the
        reason.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        temporary, lock = _create(path)
        try:
            with lock:
                _fill(temporary, lock, write)
                if fcntl is None:
                    lock.close()  # Windows does not rename an open file
                _replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno is None or PREFIX not in str(error.filename or PREFIX):
            raise
        # A failed write names no file, and the name of the temporary file would not help.
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


def _create(path: Path) -> tuple[Path, BinaryIO]:
    """Create an empty temporary file for ``path``; return its path and the open, locked file.

    The system releases the lock when the process ends, however it ends and on any machine that
    shares the folder. So a lock distinguishes a living writer from a killed one, where process IDs
    and clocks may mislead.
    """
    while True:
        temporary = path.with_name(f"{PREFIX}{secrets.token_hex(4)}{path.suffix}")
        with contextlib.suppress(FileExistsError):
            lock = temporary.open("xb")
            _lock(lock)
            if temporary.exists():  # else it was removed before it was locked
                return temporary, lock
            lock.close()


def _lock(file: BinaryIO) -> None:
    """Lock a new file, if the file system has locks."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def _fill(temporary: Path, lock: BinaryIO, write: Callable[[Path], object]) -> None:
    write(temporary)
    if not temporary.stat().st_size:
        raise OSError(f"{write!r} wrote nothing to the path that it was given")
    os.fsync(lock.fileno())


def _replace(temporary: Path, path: Path) -> None:
    """Move a file onto another; wait for programs that hold it for a moment."""
    for wait in WAITS:
        try:
            temporary.replace(path)
        except OSError as error:
            if getattr(error, "winerror", None) not in BUSY:
                raise
            time.sleep(wait)
        else:
            return
    temporary.replace(path)


def _remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of dead writers."""
    for file in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # locked, or removed by another process
            if fcntl is not None:
                with file.open("r+b") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    file.unlink()
            # Windows does not remove an open file; the age covers the moment of the rename.
            elif time.time() - file.stat().st_mtime > AGE:
                file.unlink()

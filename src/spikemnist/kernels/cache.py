"""Compiled kernels on disk: a process loads the code that an earlier one has compiled.

Numba's own cache numbers the files of a function by an index, and compares the time of its source
file. So two processes that compile a kernel for different types at once both write file number 1,
and one of them then loads the other's code. And a cached kernel outlives changes to its pieces in
other files, as in a new version of the package. Here the name of a file has a digest of the source
of all kernels of a room, and one of the types and the processor. So a file that exists is never
outdated.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikemnist._atomic import write_atomically
from spikemnist._progress import print_note

HERE = Path(__file__).resolve().parent


class Files:
    """Files of one kernel, one for each set of types, with the interface of Numba's cache."""

    def __init__(self, folder: str, function: Callable[..., Any]) -> None:
        import numba

        source = Path(function.__code__.co_filename)
        name = f"{source.stem}.{function.__qualname__}.{sys.implementation.cache_tag}"
        self._kernel = Path(folder) / re.sub(r"[^\w.-]", "_", name)
        self._version = _digest(
            numba.__version__.encode(), _sources(source.parent), source.read_bytes()
        )

    def load(self, key: Any) -> Any:
        """Return the code saved for the types and the processor in ``key``, or None.

        Then Numba compiles the kernel, which is announced once in a process.
        """
        try:
            return pickle.loads(self._file(key).read_bytes())
        except Exception:  # no such file, or one that is damaged
            _announce()
            return None

    def save(self, key: Any, data: Any) -> None:
        """Save compiled code, and remove other versions of the kernel."""
        from numba.core.serialize import dumps

        try:
            write_atomically(self._file(key), lambda file: file.write_bytes(dumps(data)))
        except OSError as error:
            warn(error.strerror or str(error))
        for file in self._kernel.parent.glob(f"{self._kernel.name}.*.nbc"):
            if self._version not in file.name:
                with contextlib.suppress(OSError):  # in use, or removed by another process
                    file.unlink()

    def _file(self, key: Any) -> Path:
        suffix = f".{self._version}.{_digest(repr(key).encode())}.nbc"
        return self._kernel.with_name(self._kernel.name + suffix)


@functools.cache
def _announce() -> None:
    print_note("compiling kernels; later runs with the same settings reuse them")


@functools.cache
def warn(reason: str, remedy: str = "Set NUMBA_CACHE_DIR to a folder that can be written") -> None:
    """Warn once that kernels cannot be cached."""
    warnings.warn(
        f"compiled kernels cannot be cached ({reason}): each process compiles them anew, which "
        f"takes some 10 s. {remedy}",
        RuntimeWarning,
        stacklevel=2,
    )


@functools.cache
def _sources(room: Path) -> bytes:
    """Return a digest of all that a kernel of a room is made of: the room, this one, and words."""
    files = (HERE.parent / "_splitmix.py", *sorted(HERE.glob("*.py")), *sorted(room.glob("*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]  # short, as paths on Windows must be

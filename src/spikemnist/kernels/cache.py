"""The compiled code of kernels on disk: what one process compiled, the next one loads.

Numba numbers the files of a function by an index, and compares the time of its source file. So two
processes that compile a kernel for different types at once both write file number 1, which one of
them then reads as the other's; and a kernel outlives changes to pieces that lie in other files, as
they come with a new version of the package. Here the name of a file says all that it was made of:
what is found is right. And its contents carry their own digest: a file that was cut, damaged or
written by others is not unpickled, and the kernel is compiled anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemnist._atomic import write_atomically
from spikemnist._folders import user_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PACKAGE = Path(__file__).resolve().parent.parent

MAGIC = b"spikemnist kernel\n"
"""What a file begins with; the digest of the rest follows."""

ROOMS = ("kernels", "encoding", "ops", "engine", "plasticity")
"""The rooms whose code kernels are made of."""


class Files:
    """The files of one kernel, as Numba's cache asks for them: one for each set of types."""

    def __init__(self, folder: str, function: Callable[..., Any]) -> None:
        import numba

        self._folders = [Path(folder), *_user_folder()]
        file = Path(function.__code__.co_filename)
        name = f"{file.stem}.{function.__qualname__}.{sys.implementation.cache_tag}"
        self._name = re.sub(r"[^\w.-]", "_", name)
        # Its own file as well: kernels of the tests lie in none of the rooms.
        made_of = [file.read_bytes(), _sources(), numba.__version__.encode()]
        self._stamp = _digest(made_of)

    def load(self, key: Any) -> Any:
        """Return what was saved for the types and the processor in ``key``, or None."""
        return next(
            filter(None, (_read(folder / self._file(key)) for folder in self._folders)), None
        )

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled, and nothing of other versions of the kernel."""
        from numba.core.serialize import dumps

        payload = dumps(data)
        content = MAGIC + hashlib.sha256(payload).digest() + payload
        errors = []
        for folder in self._folders:
            try:
                self._forget_other_versions(folder)
                write_atomically(folder / self._file(key), lambda file: file.write_bytes(content))
            except OSError as error:
                errors.append(error)
            else:
                return
        if self.load(key) is None:  # else another process was faster
            warnings.warn(
                f"the compiled kernel could not be cached ({errors[0]}): each process compiles it "
                "anew. NUMBA_CACHE_DIR names a folder that can be written",
                RuntimeWarning,
                stacklevel=2,
            )

    def _forget_other_versions(self, folder: Path) -> None:
        for file in folder.glob(f"{self._name}.*.nbc"):
            if file.name.split(".")[-3] != self._stamp:
                with contextlib.suppress(OSError):  # in use, or another process was faster
                    file.unlink()

    def _file(self, key: Any) -> str:
        return f"{self._name}.{self._stamp}.{_digest([repr(key).encode()])}.nbc"


def _read(path: Path) -> Any:
    """Return what a file holds, or None when it is no file as `Files.save` writes it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    begin = len(MAGIC) + hashlib.sha256().digest_size
    if content[:begin] != MAGIC + hashlib.sha256(content[begin:]).digest():
        return None
    try:
        return pickle.loads(content[begin:])
    except Exception:  # whole, but by a Python or a Numba that names things otherwise
        return None


def _user_folder() -> list[Path]:
    """Return where kernels go that find no place beside their source: a path may be too long.

    Each installation has its own, so that none takes files of the others for old ones.
    """
    try:
        return [user_cache() / "kernels" / _digest([os.fsencode(PACKAGE)])]
    except RuntimeError:  # there is no home
        return []


@functools.cache
def _sources() -> bytes:
    files = sorted(file for room in ROOMS for file in (PACKAGE / room).rglob("*.py"))
    return _digest(file.read_bytes() for file in files).encode()


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]  # short: Windows' paths are

"""The compiled code of kernels on disk: what one process compiled, the next one loads.

Numba numbers the files of a function by an index, and compares the time of its source file. So two
processes that compile a kernel for different types at once both write file number 1, which one of
them then reads as the other's; and a kernel outlives changes to pieces that lie in other files, as
they come with a new version of the package. Here the name of a file says all that it was made of:
what is found is right.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemnist._atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PACKAGE = Path(__file__).resolve().parent.parent

ROOMS = ("_runtime", "encoding", "ops", "plasticity")
"""The rooms whose code kernels are made of."""


class Files:
    """The files of one kernel, as Numba's cache asks for them: one for each set of types."""

    def __init__(self, folder: str, function: Callable[..., Any]) -> None:
        import numba

        self._folder = Path(folder)
        file = Path(function.__code__.co_filename)
        name = f"{file.stem}.{function.__qualname__}.{sys.implementation.cache_tag}"
        self._name = re.sub(r"[^\w.-]", "_", name)
        # Its own file as well: kernels of the tests lie in none of the rooms.
        made_of = [file.read_bytes(), _sources(), numba.__version__.encode()]
        self._stamp = _digest(made_of)

    def load(self, key: Any) -> Any:
        """Return what was saved for the types and the processor in ``key``, or None."""
        try:
            return pickle.loads(self._path(key).read_bytes())
        except OSError:
            return None

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled, and nothing of other versions of the kernel."""
        from numba.core.serialize import dumps

        path = self._path(key)
        try:
            self._forget_other_versions()
            write_atomically(path, lambda file: file.write_bytes(dumps(data)))
        except OSError as error:
            if not path.exists():  # else another process was faster
                warnings.warn(
                    f"the compiled kernel could not be cached ({error}): each process compiles it "
                    "anew. NUMBA_CACHE_DIR names a folder that can be written",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def _forget_other_versions(self) -> None:
        for file in self._folder.glob(f"{self._name}.*.nbc"):
            if file.name.split(".")[-3] != self._stamp:
                with contextlib.suppress(OSError):  # in use, or another process was faster
                    file.unlink()

    def _path(self, key: Any) -> Path:
        return self._folder / f"{self._name}.{self._stamp}.{_digest([repr(key).encode()])}.nbc"


@functools.cache
def _sources() -> bytes:
    files = sorted(file for room in ROOMS for file in (PACKAGE / room).rglob("*.py"))
    return _digest(file.read_bytes() for file in files).encode()


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]  # short: Windows' paths are

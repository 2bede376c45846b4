"""Compiled kernels on disk: a process loads the code that an earlier one has compiled.

Numba's own cache numbers the files of a function by an index, and compares the time of its source
file. So two processes that compile a kernel for different types at once both write file number 1,
and one of them then loads the other's code. And a cached kernel outlives changes to its pieces in
other files, as in a new version of the package. Here the name of a file has a digest of all code
that it was compiled from: its module and the modules of this package that it imports, without
docstrings and comments. So a file that is found is never outdated. Its content carries a digest as
well: a file that is truncated, damaged or foreign is not unpickled, and the kernel is compiled
anew.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import hashlib
import importlib.util
import os
import pickle
import re
import sys
import warnings
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from platformdirs import user_cache_path

from spikemnist._atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PACKAGE = Path(__file__).resolve().parent.parent

MAGIC = b"spikemnist kernel\n"
"""First bytes of a file; the digest of the rest follows."""

OURS = __name__.partition(".")[0]

HAS_DOCSTRING = 0x4000000
"""Flag ``CO_HAS_DOCSTRING`` of code objects."""


class Files:
    """Files of one kernel, one for each set of types, with the interface of Numba's cache."""

    def __init__(self, folder: str, function: Callable[..., Any]) -> None:
        import numba

        self._folders = [Path(folder), _user_folder()]
        file = Path(function.__code__.co_filename)
        name = f"{file.stem}.{function.__qualname__}.{sys.implementation.cache_tag}"
        self._name = re.sub(r"[^\w.-]", "_", name)
        self._stamp = _digest([_made_of(function), numba.__version__.encode()])

    def load(self, key: Any) -> Any:
        """Return the code saved for the types and the processor in ``key``, or None."""
        return next(
            filter(None, (_read(folder / self._file(key)) for folder in self._folders)), None
        )

    def save(self, key: Any, data: Any) -> None:
        """Save compiled code, and remove other versions of the kernel."""
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
        if self.load(key) is None:  # else another process has saved it
            warnings.warn(
                f"the compiled kernel could not be cached ({errors[0]}): each process compiles it "
                "anew. Set NUMBA_CACHE_DIR to a folder that can be written",
                RuntimeWarning,
                stacklevel=2,
            )

    def _forget_other_versions(self, folder: Path) -> None:
        for file in folder.glob(f"{self._name}.*.nbc"):
            if file.name.split(".")[-3] != self._stamp:
                with contextlib.suppress(OSError):  # in use, or removed by another process
                    file.unlink()

    def _file(self, key: Any) -> str:
        return f"{self._name}.{self._stamp}.{_digest([repr(key).encode()])}.nbc"


_refused: set[str] = set()
"""Folders of ``NUMBA_CACHE_DIR`` that the process has warned of."""


def warn_of_folder(chosen: str, taken: str | None) -> None:
    """Warn once if Numba has passed over the folder of ``NUMBA_CACHE_DIR``.

    Parameters
    ----------
    chosen
        Folder that ``NUMBA_CACHE_DIR`` names; empty if it names none.
    taken
        Folder that Numba has found for a kernel; None if there is none.
    """
    if not chosen or chosen in _refused or (taken and Path(taken).parent == Path(chosen)):
        return
    _refused.add(chosen)
    instead = f"kernels are cached in {taken} instead" if taken else "each process compiles anew"
    warnings.warn(
        f"NUMBA_CACHE_DIR is {chosen}, where no file can be written: {instead}",
        RuntimeWarning,
        stacklevel=3,
    )


def _read(path: Path) -> Any:
    """Return the content of a file, or None unless `Files.save` wrote it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    begin = len(MAGIC) + hashlib.sha256().digest_size
    if content[:begin] != MAGIC + hashlib.sha256(content[begin:]).digest():
        return None
    try:
        return pickle.loads(content[begin:])
    except Exception:  # intact, but from a Python or a Numba with other names
        return None


def _user_folder() -> Path:
    """Return the folder for kernels that cannot be saved beside their source.

    The path there may be too long, for example. Each installation has its own folder, so that none
    takes the files of another for old ones.
    """
    user = user_cache_path("spikemnist", appauthor=False)
    return user / "kernels" / _digest([os.fsencode(PACKAGE)])


def _made_of(function: Callable[..., Any]) -> bytes:
    """Return a digest of the code of a function's module and this package's modules it imports."""
    try:
        names = imported(function.__module__)
    except (ValueError, AttributeError):  # a script, or a loader that cannot return the code
        own = Path(function.__code__.co_filename).read_bytes()
        return _digest([own, *(_module(name).digest for name in sorted(_ours()))]).encode()
    return _digest(_module(name).digest for name in sorted(names)).encode()


def imported(name: str) -> set[str]:
    """Return the names of a module and, recursively, the modules of this package it imports."""
    found, waiting = set[str](), [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _module(name).imports
    return found


class _Module(NamedTuple):
    """Digest of a module's code, and the modules of this package that it imports."""

    digest: bytes
    imports: frozenset[str]


@functools.cache
def _module(name: str) -> _Module:
    spec = importlib.util.find_spec(name)
    code = spec.loader.get_code(name)  # type: ignore[union-attr]
    parts, names = list[bytes](), set[str]()
    _collect(code, parts, names)
    packages = {other for other in names if other.partition(".")[0] == OURS}
    # `from package import module` and `from module import name` look the same here.
    imports = {f"{package}.{other}" for package in packages for other in names} | packages
    return _Module(_digest(parts).encode(), frozenset(imports & _ours()))


@functools.cache
def _ours() -> frozenset[str]:
    """Return the names of all modules of this package."""
    files = [file.relative_to(PACKAGE.parent) for file in PACKAGE.rglob("*.py")]
    names = (".".join(file.with_suffix("").parts) for file in files)
    return frozenset(name.removesuffix(".__init__") for name in names)


def _collect(code: CodeType, parts: list[bytes], names: set[str]) -> None:
    """Add the content of a code object, without docstrings and line numbers, and its names."""
    names.update(code.co_names)
    parts.append(repr((code.co_name, code.co_names, code.co_varnames, code.co_freevars)).encode())
    if code.co_flags & CO_OPTIMIZED:
        parts.append(code.co_code)
        constants = list(code.co_consts)
        # The first constant of a function is its docstring or None; since Python 3.14 it is the
        # docstring only if a flag says so.
        if constants and (sys.version_info < (3, 14) or code.co_flags & HAS_DOCSTRING):
            del constants[0]
    else:
        # The code of a module or a class numbers its constants, and equal ones share a number. The
        # docstring is one of them and, since Python 3.13, the line of a class.
        said = list(dis.get_instructions(code))
        constants = []
        for one, after in zip(said, [*said[1:], None], strict=True):
            if after is None or after.argval not in ("__doc__", "__firstlineno__"):
                parts.append(one.opname.encode())
                constants.append(one.argval)
    for constant in constants:
        if isinstance(constant, CodeType):
            _collect(constant, parts, names)
        elif isinstance(constant, frozenset):  # its order differs between processes
            parts.append(repr(sorted(map(repr, constant))).encode())
        else:
            parts.append(repr(constant).encode())


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]  # short, as paths on Windows must be

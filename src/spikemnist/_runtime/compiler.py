"""How kernels are compiled: by Numba, where it is installed, and cached where that is possible.

Numba is imported with the first kernel, never with the package.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, TypeVar

from spikemnist._runtime.cache import Files

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., Any])


# NumPy's error model: a division by zero is an infinity, not an exception that each loop would
# have to test for. And C code calls nothing here.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

# Python calls kernels, and not their pieces: those need no machine code of their own, which took
# 7 % of a first call. From Python a piece is called by its `py_func`, or the process dies.
PIECE: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True}


def is_available() -> bool:
    """Return whether kernels can be compiled here."""
    return importlib.util.find_spec("numba") is not None


def inlined(function: Function) -> Function:
    """Compile a piece of a kernel into each place that calls it."""
    import numba

    return numba.njit(**PIECE, forceinline=True)(function)  # type: ignore[no-any-return]


def routine(function: Function) -> Function:
    """Compile a piece that a kernel calls now and then, for a tile or a sample, only once.

    The optimiser sees one function however many places call it: kernels are compiled sooner.
    """
    import numba

    return numba.njit(**PIECE)(function)  # type: ignore[no-any-return]


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile ``function(ticket, units, *arguments)``, a function of NumPy arrays.

    It begins with `teams.by_team`, takes what it does by `tickets.next_unit`, and runs without
    the interpreter's lock.

    The machine code is cached on disk, see `cache`. Where no folder can be written, as with a
    read-only installation and no home, each process compiles anew and all else is the same.
    """
    import numba

    try:
        compiled = numba.njit(**OPTIONS, cache=True)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return numba.njit(**OPTIONS)(function)  # type: ignore[no-any-return]
    if not numba.config.DISABLE_JIT:
        compiled._cache._cache_file = Files(compiled.stats.cache_path, function)
    return compiled  # type: ignore[no-any-return]

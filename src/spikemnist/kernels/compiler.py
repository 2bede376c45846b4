"""Compile kernels with Numba, if it is installed, and cache them if possible.

Numba is imported with the first kernel, never with the package.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from spikemnist.kernels.cache import Files, warn

Function = TypeVar("Function", bound=Callable[..., Any])


# NumPy's error model: a division by zero is an infinity, not an exception that each loop would
# have to test for. No wrapper for C, which calls nothing here.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

# Python calls kernels, not their pieces, the functions that kernels call. Pieces need no wrapper
# for Python, which takes time to compile. From Python, call a piece only by its `py_func`.
PIECE: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True}


_memo: list[str | None] = []
"""Result of `missing`, once known; no functools.cache, since torch.compile warns of it."""


def missing() -> str | None:
    """Return the requirement that is missing to compile kernels here, or None.

    Warns
    -----
    RuntimeWarning
        The first time, if Numba is installed but cannot be imported: it may not support this NumPy
        yet.
    """
    if not _memo:
        _memo.append(_look_for_numba())
    return _memo[0]


def _look_for_numba() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return "Numba, which is not installed (pip install numba)"
    try:
        import numba  # noqa: F401
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(
            f"Numba is installed, but cannot be imported ({reason}): plain torch runs in place of "
            "compiled kernels, and is slower",
            RuntimeWarning,
            stacklevel=3,
        )
        return f"Numba, which cannot be imported here ({reason})"
    return None


def is_available() -> bool:
    """Return whether kernels can be compiled here."""
    return missing() is None


def inlined(function: Function) -> Function:
    """Compile a piece of a kernel inline, at each place that calls it."""
    return routine(function, forceinline=True)


def routine(function: Function, **options: bool) -> Function:
    """Compile a piece of a kernel once, for calls per neuron block or sample.

    The optimiser sees one function, however many places call it, so kernels compile faster.
    """
    import numba

    from spikemnist.kernels.pipeline import PieceCompiler

    compile_piece = numba.njit(**PIECE, **options, pipeline_class=PieceCompiler)
    return compile_piece(function)  # type: ignore[no-any-return]


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile ``function(queue, *arguments)``, a function of NumPy arrays.

    It begins with `scheduler.by_team`, loops over `scheduler.units_of` the queue, and runs without
    the interpreter's lock.

    The machine code is cached on disk: see `cache`. If no folder is writable, as with a read-only
    installation and no home, a warning says so, each process compiles anew, and all else is the
    same.
    """
    import numba

    from spikemnist.kernels.pipeline import KernelCompiler

    options = {**OPTIONS, "pipeline_class": KernelCompiler}
    try:
        dispatcher = numba.njit(**options, cache=True)(function)
        if not numba.config.DISABLE_JIT:
            dispatcher._cache._cache_file = Files(dispatcher.stats.cache_path, function)
    except (RuntimeError, OSError):  # Numba finds no folder, or there is no source to compare
        if Path(function.__code__.co_filename).exists():
            warn("no folder can be written")
        else:
            warn("their source files are not there", "Install the package with them")
        return numba.njit(**options)(function)  # type: ignore[no-any-return]
    return dispatcher  # type: ignore[no-any-return]

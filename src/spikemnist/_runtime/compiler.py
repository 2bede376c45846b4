"""How kernels are compiled: by Numba, where it is installed, and cached where that is possible.

Numba is imported with the first kernel, never with the package.
"""

from __future__ import annotations

import importlib.util
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = TypeVar("Function", bound=Callable[..., Any])


# NumPy's error model: a division by zero is an infinity, not an exception that each loop would
# have to test for.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def is_available() -> bool:
    """Return whether kernels can be compiled here."""
    return importlib.util.find_spec("numba") is not None


def inlined(function: Function) -> Function:
    """Compile a piece of a kernel into each place that calls it."""
    import numba

    return numba.njit(**OPTIONS, forceinline=True)(function)  # type: ignore[no-any-return]


def kernel(function: Callable[..., None]) -> Callable[..., None]:
    """Compile ``function(ticket, units, *arguments)``, a function of NumPy arrays.

    What is returned is called ``(fork, threads, ticket, units, *arguments)``: it calls the
    function once without the interpreter's lock, or, when ``fork`` is the address that
    `openmp.fork_address` gives, once in each of so many threads.

    The machine code is cached on disk. Where no folder can be written, as with a read-only
    installation and no home, each process compiles anew and everything else is the same.
    """
    import numba

    from spikemnist._runtime.teams import share

    # A function of its own, in the same file and with the kernel as a global: so that Numba's
    # cache finds it again in the next process.
    code = _run.__code__.replace(
        co_filename=function.__code__.co_filename,
        co_firstlineno=function.__code__.co_firstlineno,
        co_name=function.__name__,
    )
    names = {"kernel_": numba.njit(**OPTIONS)(function), "share": share}
    run = FunctionType(code, {"__name__": function.__module__, **names}, function.__name__)
    run.__doc__, run.__module__ = function.__doc__, function.__module__
    run.__qualname__ = function.__qualname__
    try:
        return numba.njit(**OPTIONS, cache=True)(run)  # type: ignore[no-any-return]
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return numba.njit(**OPTIONS)(run)  # type: ignore[no-any-return]


def _run(fork: int, threads: int, *arguments: Any) -> None:
    if fork == 0:
        kernel_(*arguments)  # type: ignore[name-defined]  # noqa: F821
    else:
        share(kernel_, fork, threads, arguments)  # type: ignore[name-defined]  # noqa: F821

"""A pool of buffers for kernels.

A fresh buffer of some megabytes costs a page fault for each of its pages, at every training step.
So a buffer returns to the pool when nothing refers to it any more, autograd's graphs included, and
the next step takes it from there.

No Python code runs when a buffer returns: Python discards an exception that is raised in the
callback of a weak reference, and Ctrl-C raises one.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

POOLED_FROM = 1 << 16
"""Smallest buffer to pool, in bytes; the allocator keeps smaller ones by itself."""

COPIED_BY_TORCH = 1 << 15
"""Numbers from which torch's copy, which takes several threads, is faster than NumPy's, which
begins sooner."""

POOL_BYTES = 1 << 28
"""Limit of the pool in bytes, lent and idle, unless a single buffer is larger. To stay below it,
the pool forgets all buffers. A forgotten buffer is freed with the array that uses it."""


class _Loan(weakref.ref[Any]):
    """A weak reference to the view that an array uses, and the buffer behind the view."""

    __slots__ = ("buffer",)
    buffer: Tensor


# Single operations of containers take the place of a lock, since a buffer may return during
# garbage collection, in any thread, at any line.
_loans: dict[int, _Loan] = {}
"""All loans of the pool, by their `id`."""

_idle: dict[int, deque[_Loan]] = {}
"""Loans whose view is gone, by the size of the buffer."""

# Two threads that add to it at once may lose a buffer's bytes; the limit need not be exact.
_idle_bytes = 0


def empty(shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    """Return an uninitialised array in memory that is reused.

    A large one is aligned to 64 bytes: vector loads that straddle two cache lines take twice as
    long.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < POOLED_FROM:
        return np.empty(shape, dtype)
    size = _round_up(size)
    idle = _idle.setdefault(size, deque())
    buffer = _take(idle)
    if buffer is None:
        buffer = _fresh(size)
    # When this view is gone, the buffer is free again: `append` is compiled code, in which no
    # signal is handled. A part of an array refers to the owner of the memory, past arrays in
    # between, but not past a tensor: so the result is made of one, which keeps the view.
    view: NDArray[Any] = np.ndarray(shape, dtype, buffer.numpy())
    loan = _Loan(view, idle.append)
    loan.buffer = buffer
    _loans[id(loan)] = loan
    return torch.from_numpy(view).numpy()


@functools.cache
def absent(dimensions: int, dtype: Any) -> NDArray[Any]:
    """Return an array of length 0, which stands for one that is not there.

    A kernel is compiled for the types of its arguments. With an array of the same type instead of
    None, it need not be compiled anew.
    """
    return np.empty((0,) * dimensions, dtype)


def copy(source: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return a contiguous copy in memory that is reused."""
    out = empty(source.shape, dtype)
    if out.size < COPIED_BY_TORCH:
        out[...] = source
    else:
        torch.from_numpy(out).copy_(torch.from_numpy(source))
    return out


def _round_up(size: int) -> int:
    """Return the size of the buffer for ``size`` bytes.

    Sizes that depend on the number of spikes differ a little from step to step. So they are rounded
    up to one of eight sizes between two powers of two.
    """
    step = 1 << max(size.bit_length() - 4, 12)
    return -(-size // step) * step


def _take(idle: deque[_Loan]) -> Tensor | None:
    """Take the buffer that became idle last; return None if there is none."""
    try:
        loan = idle.pop()
    except IndexError:
        return None
    _loans.pop(id(loan), None)
    return loan.buffer


def _fresh(size: int) -> Tensor:
    """Return a new buffer; forget the others if the pool has no room for it."""
    global _idle_bytes
    _idle_bytes += size
    if _idle_bytes > POOL_BYTES:
        _idle_bytes = size
        _loans.clear()
        for idle in list(_idle.values()):
            idle.clear()
    return torch.empty(size, dtype=torch.uint8, device="cpu")

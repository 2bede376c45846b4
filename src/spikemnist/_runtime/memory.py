"""Where kernels get their memory from.

A fresh buffer of some megabytes costs a page fault for each of its pages, at every step. So
buffers come back here when nothing refers to them any more, autograd's graphs included, and the
next step takes them from here.
"""

from __future__ import annotations

import functools
import math
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

POOLED_FROM = 1 << 16
"""Bytes from which a buffer is worth keeping; the allocator keeps smaller ones by itself."""

IDLE_BYTES = 1 << 28
"""How much unused memory is kept; when there is more, all of it is given up."""

# By size. Lists lend and take back in single operations, which a lock could not replace: buffers
# come back while the garbage collector runs, in any thread, at any line.
_idle: dict[int, list[Tensor]] = {}

# What is lent, by the number of the weak reference that will tell of its return.
_lent: dict[int, tuple[weakref.ref[Any], Tensor]] = {}


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return an uninitialised CPU tensor, aligned to 64 bytes, in memory that is used again.

    Vector loads that straddle two cache lines cost twice as much, hence the alignment.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < POOLED_FROM:
        return torch.empty(shape, dtype=dtype, device="cpu")
    buffer = _take(size)
    # The tensor keeps this view alive, and only the tensor does. When it is gone the buffer is
    # free again.
    view = np.ndarray(shape, _numpy(dtype), buffer.numpy())
    reference = weakref.ref(view, _returned)
    _lent[id(reference)] = reference, buffer
    return torch.from_numpy(view)


@functools.cache
def _numpy(dtype: torch.dtype) -> Any:
    return torch.empty(0, dtype=dtype, device="cpu").numpy().dtype


def _returned(reference: weakref.ref[Any]) -> None:
    _give_back(_lent.pop(id(reference))[1])


def _take(size: int) -> Tensor:
    # Sizes that depend on the number of spikes differ a little from step to step: one in eight
    # of the sizes between two powers of two serves them all.
    step = 1 << max(size.bit_length() - 4, 12)
    size = -(-size // step) * step
    try:
        return _idle[size].pop()
    except (KeyError, IndexError):
        return torch.empty(size, dtype=torch.uint8, device="cpu")


def _give_back(buffer: Tensor) -> None:
    size = buffer.numel()
    if sum([each * len(buffers) for each, buffers in list(_idle.items())]) + size > IDLE_BYTES:
        _idle.clear()
    _idle.setdefault(size, []).append(buffer)

"""Where kernels get their memory from.

A fresh buffer of some megabytes costs a page fault for each of its pages, at every step. So
buffers come back here when nothing refers to them any more, autograd's graphs included, and the
next step takes them from here.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

POOLED_FROM = 1 << 16
"""Bytes from which a buffer is worth keeping; the allocator keeps smaller ones by itself."""

IDLE_BYTES = 1 << 28
"""How much unused memory is kept. What has been idle longest is freed first."""

# By identity, the longest idle first. Single operations on a dict are atomic, which a lock could
# not replace: buffers come back while the garbage collector runs, in any thread, at any line.
_idle: dict[int, Tensor] = {}


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
    view = buffer[:size].numpy()
    weakref.finalize(view, _give_back, buffer).atexit = False
    return torch.from_numpy(view).view(dtype).view(shape)


def _take(size: int) -> Tensor:
    fitting = [buffer for buffer in list(_idle.values()) if size <= buffer.numel() <= 2 * size]
    for buffer in sorted(fitting, key=torch.numel):
        if _idle.pop(id(buffer), None) is not None:
            return buffer
    # Sizes that depend on the number of spikes differ a little from step to step.
    step = 1 << max(size.bit_length() - 4, 12)
    return torch.empty(-(-size // step) * step, dtype=torch.uint8, device="cpu")


def _give_back(buffer: Tensor) -> None:
    _idle[id(buffer)] = buffer
    while sum(map(torch.numel, list(_idle.values()))) > IDLE_BYTES:
        _idle.pop(next(iter(list(_idle)), 0), None)

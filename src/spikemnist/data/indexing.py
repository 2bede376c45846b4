"""Resolve the indices of a dataset and order the samples of its batches.

Shapes: ``B`` samples of a batch.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator


def generator_of(seed: int) -> torch.Generator:
    """Return a CPU generator, which gives the same numbers for data on every device."""
    return torch.Generator().manual_seed(operator.index(seed))


def batch_indices(
    length: int,
    batch_size: int,
    *,
    seed: int | None,
    drop_last: bool,
    device: torch.device | str = "cpu",
) -> Iterator[slice | Tensor]:
    """Return the index of each batch: slices, or shuffled indices on ``device``.

    Raises
    ------
    ValueError
        If ``batch_size`` is below 1.
    """
    size = operator.index(batch_size)
    if size < 1:
        raise ValueError(f"batch_size must be at least 1; got {batch_size}")
    end = length - length % size if drop_last else length
    starts = range(0, end, size)
    if seed is None:
        return (slice(i, i + size) for i in starts)
    order = torch.randperm(length, generator=generator_of(seed)).to(device)
    return (order[i : i + size] for i in starts)


def resolve_index(index: Any, length: int) -> int | slice | Tensor:
    """Convert an index to an int, a forward slice or an int64 tensor ``[B]``."""
    if isinstance(index, int) and not isinstance(index, bool):
        return _check_position(index, length)
    if isinstance(index, slice):
        if index.step is None or operator.index(index.step) > 0:
            return index
        return torch.tensor(range(*index.indices(length)), dtype=torch.int64)
    return _resolve_tensor(_as_tensor(index), length)


def _as_tensor(index: Any) -> Tensor:
    if isinstance(index, Tensor):
        return index
    try:
        if isinstance(index, tuple):  # otherwise data[3, 4] would mean data[[3, 4]]
            raise TypeError("a tuple indexes several dimensions")
        tensor = torch.tensor(index)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"cannot index with {type(index).__name__} {index!r}; "
            "expected an int, a slice, integers or a boolean mask"
        ) from error
    # An empty list has no dtype of its own; torch makes it float.
    return tensor.long() if tensor.numel() == 0 else tensor


def _resolve_tensor(index: Tensor, length: int) -> int | Tensor:
    if index.is_floating_point() or index.is_complex():
        raise TypeError(f"cannot index with dtype {index.dtype}; expected integers or a mask")
    if index.dtype == torch.bool:
        if index.shape != (length,):
            raise IndexError(f"mask must have shape [{length}]; got {list(index.shape)}")
        return index.nonzero().flatten()
    if index.ndim == 0:
        return _check_position(int(index), length)
    if index.ndim != 1:
        raise IndexError(f"index must have one dimension; got shape {list(index.shape)}")
    index = index.long()
    if index.numel():
        # An index out of range on a CUDA device would make the device unusable for the process.
        _check_position(int(index.min()), length)
        _check_position(int(index.max()), length)
    return index


def _check_position(position: int, length: int) -> int:
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of range for {length} samples")
    return position

"""Hypothesis strategies that several test modules share."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

SEEDS = st.integers(0, 2**32 - 1)
ODD_SIZES = (1, 63, 257)


def pixels(*, min_batch: int = 0) -> st.SearchStrategy[Tensor]:
    """Grey images ``[B, ...]``, uint8, of any trailing shape."""
    trailing = st.lists(st.integers(1, 5), max_size=3)
    return st.tuples(st.integers(min_batch, 4), trailing).flatmap(
        lambda shape: _bytes((shape[0], *shape[1]))
    )


def _bytes(shape: tuple[int, ...]) -> st.SearchStrategy[Tensor]:
    count = torch.Size(shape).numel()
    return st.binary(min_size=count, max_size=count).map(
        lambda raw: torch.tensor(list(raw), dtype=torch.uint8).reshape(shape)
    )

"""The input of a layer: spikes as bits, or any numbers, and the choice of the faster form.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` features, ``W`` words of 64 of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikemnist._tensors import Array
from spikemnist.engine.dropout import draw_bits
from spikemnist.kernels import spike_lists
from spikemnist.ops.dropout import scale_of
from spikemnist.ops.dynamics import is_constant

DENSE_PRODUCT_FROM = 0.5
"""Density of the input above which the matrix product is faster: see docs/guide/engine.md."""

RECOMPUTE_UP_TO = 16
"""Input spikes per sample and timestep up to which it is faster to compute the membranes again in
the backward pass than to write and read them: see docs/guide/engine.md."""


class Signal(NamedTuple):
    """Packed spikes ``words`` ``[B, T, W]``, or any numbers ``dense`` ``[T or 1, B, F]``.

    Packed spikes come with the ``counts`` of each sample and their ``total``. A dense input that is
    constant over time has one timestep. Dropout has removed the spikes that are not in ``mask``
    ``[B, T, W]``, or has set the numbers to zero, and multiplies the others by ``scale``.
    """

    features: int
    words: Array | None = None
    counts: Array | None = None
    total: int = 0
    dense: Tensor | None = None
    mask: Array | None = None
    scale: float = 1.0

    def is_sparse(self, steps: int) -> bool:
        """Return whether adding weights spike by spike is faster than the matrix product."""
        if self.words is None:
            return False
        return self.total <= DENSE_PRODUCT_FROM * len(self.words) * steps * self.features

    def recomputes(self, steps: int) -> bool:
        """Return whether the backward pass recomputes the membranes of the layer.

        For a few samples, loading the weights again would take longer than storing the membranes.
        """
        if self.words is None or not self.is_sparse(steps):
            return False
        updates = len(self.words) * steps
        return updates >= self.features and self.total <= RECOMPUTE_UP_TO * updates

    def to_dense(self, dtype: Any) -> Tensor:
        """Return the input as ``[T or 1, B, F]``, without the scale, in a NumPy ``dtype``."""
        if self.dense is not None:
            return self.dense
        assert self.words is not None
        return spike_lists.unpack(self.words, self.features, dtype)


def pack_input(spikes: Tensor, dtype: torch.dtype) -> Signal:
    """Return a network's input ``[T, B, F]`` as packed spikes if it is 0 and 1, else dense."""
    words_and_counts = None if is_constant(spikes) else spike_lists.pack(spikes)
    if words_and_counts is None:
        return dense_input(spikes, dtype)
    return packed_input(spikes.shape[2], *words_and_counts)


def packed_input(features: int, words: Array, counts: Array) -> Signal:
    """Return a layer input of packed spikes."""
    return Signal(features, words, counts, int(np.add.reduce(counts)))


def drop_from(signal: Signal, shape: tuple[int, int], probability: float) -> Signal:
    """Return a layer input after dropout; ``shape`` is the numbers of timesteps and samples."""
    mask, scale = draw_bits(*shape, signal.features, probability), scale_of(probability)
    if signal.words is None:
        assert signal.dense is not None
        passes = spike_lists.unpack(mask, signal.features, np.uint8)
        return signal._replace(dense=signal.dense * passes, scale=scale)
    words = signal.words & mask
    result = packed_input(signal.features, words, spike_lists.count(words))
    return result._replace(mask=mask, scale=scale)


def dense_input(spikes: Tensor, dtype: torch.dtype) -> Signal:
    """Return a layer input of numbers ``[T, B, F]``, with one timestep if constant over time."""
    dense = spikes[:1] if is_constant(spikes) else spikes
    return Signal(spikes.shape[2], dense=dense.to(dtype))

"""What travels between layers, and whether it is worked at spike by spike.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` features, ``W`` words of 64 of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from spikemnist.kernels import events
from spikemnist.ops.dynamics import is_constant

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[Any]

DENSE_FROM = 0.5
"""Density of the input from which the matrix product is the faster one: see the documentation."""

RERUN_UP_TO = 16
"""Input spikes of a sample in a timestep up to which it is faster to make the membranes again in
the backward pass than to write and read them: see the documentation."""


class Signal(NamedTuple):
    """What a layer receives: spikes as words ``[B, T, W]``, or any numbers, ``[T or 1, B, F]``.

    ``counts`` of each sample's spikes and their ``total`` belong to words. The dense form of a
    constant signal has one timestep. ``scale`` is what dropout multiplies the spikes by.
    """

    features: int
    words: Tensor | None = None
    counts: Array | None = None
    total: int = 0
    dense: Tensor | None = None
    scale: float = 1.0


def receive(spikes: Tensor, dtype: torch.dtype) -> Signal:
    """Take a network's input ``[T, B, F]``: as bits where it is spikes, else as it is."""
    packed = None if is_constant(spikes) else events.pack(spikes)
    if packed is None:
        return receive_dense(spikes, dtype)
    return receive_words(spikes.shape[2], *packed)


def receive_words(features: int, words: Tensor, counts: Array, scale: float = 1.0) -> Signal:
    """Take spikes as words, and how many each sample has."""
    return Signal(features, words, counts, int(counts.sum()), scale=scale)


def receive_dense(spikes: Tensor, dtype: torch.dtype) -> Signal:
    """Take a network's input ``[T, B, F]`` as numbers; one timestep of it when it is constant."""
    dense = spikes[:1] if is_constant(spikes) else spikes
    return Signal(spikes.shape[2], dense=dense.to(dtype))


def is_sparse(signal: Signal, steps: int) -> bool:
    """Return whether working spike by spike is faster than the matrix product."""
    if signal.words is None:
        return False
    return signal.total <= DENSE_FROM * len(signal.words) * steps * signal.features


def is_rerun(signal: Signal, steps: int) -> bool:
    """Return whether a layer's membranes are made again for the backward pass, not kept."""
    if signal.words is None or not is_sparse(signal, steps):
        return False
    return signal.total <= RERUN_UP_TO * len(signal.words) * steps


def densify(signal: Signal, dtype: torch.dtype) -> Tensor:
    """Return a signal as ``[T or 1, B, F]``, without the scale."""
    if signal.dense is not None:
        return signal.dense
    assert signal.words is not None
    return events.unpack(signal.words, signal.features, dtype)

"""Spikes as events: one bit for each neuron and timestep, and the lists that kernels walk along.

Between layers a spike is a bit: word ``w`` of ``words[b, t]`` holds the neurons 64 w .. 64 w + 63
of sample ``b`` at timestep ``t``. Kernels read them in one of two orders:

- *by timestep*: for each sample and timestep, the neurons that fired;
- *by neuron*: for each sample and neuron that fired at all, the timesteps at which it did.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` neurons, ``W`` words of 64 neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spikemnist._runtime import memory
from spikemnist._runtime.compiler import inlined, kernel
from spikemnist._runtime.threads import parallel
from spikemnist._runtime.tickets import next_unit
from spikemnist.ops.event_driven.vector import (
    WIDTH,
    count_bits,
    equal,
    lowest_bit,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[Any]

ONE = np.uint64(1)


def words_of(features: int) -> int:
    """Return how many words hold one timestep of that many neurons."""
    return -(-features // WIDTH)


class ByTimestep(NamedTuple):
    """``neurons[starts[b, t] : starts[b, t + 1]]`` fired in sample b at timestep t."""

    neurons: Array
    starts: Array


class ByNeuron(NamedTuple):
    """When each neuron fired, by sample.

    The neurons of word w that fired in sample b are ``neurons[groups[b, w] : groups[b, w + 1]]``,
    and the one at position p fired at ``timesteps[starts[p + b] : starts[p + b + 1]]``.
    """

    groups: Array
    neurons: Array
    starts: Array
    timesteps: Array


def pack(spikes: Tensor) -> Tensor | None:
    """Return the words ``[B, T, W]`` of spikes ``[T, B, F]``, or None when some are not 0 or 1."""
    steps, batch, features = spikes.shape
    if spikes.dtype == torch.bool:
        spikes = spikes.view(torch.uint8)
    elif spikes.dtype not in (torch.uint8, torch.float32, torch.float64):
        spikes = spikes.to(torch.float32)
    words = memory.empty((batch, steps, words_of(features)), torch.int64)
    analog = np.zeros(1, np.bool_)
    dense = spikes.detach().contiguous().numpy()
    binary = np.array([0, 1], dense.dtype)
    parallel(_pack, batch, dense, binary, words.numpy().view(np.uint64), analog)
    return None if analog[0] else words


@kernel
def _pack(
    ticket: Array, units: int, spikes: Array, binary: Array, words: Array, analog: Array
) -> None:
    steps, features = spikes.shape[0], spikes.shape[2]
    whole = features // WIDTH
    zero, one = binary
    b = next_unit(ticket)
    while b < units:
        for t in range(steps):
            row = spikes[t, b]
            for w in range(whole):
                part = row[w * WIDTH : (w + 1) * WIDTH]
                ones = equal(part, one)
                if ones | equal(part, zero) != ~np.uint64(0):
                    analog[0] = True
                words[b, t, w] = ones
            if whole < words.shape[2]:
                rest = np.uint64(0)
                for f in range(whole * WIDTH, features):
                    if row[f] == one:
                        rest |= ONE << np.uint64(f - whole * WIDTH)
                    elif row[f] != zero:
                        analog[0] = True
                words[b, t, whole] = rest
        b = next_unit(ticket)


def unpack(words: Tensor, features: int, dtype: torch.dtype) -> Tensor:
    """Return the spikes ``[T, B, F]`` of words ``[B, T, W]``."""
    batch, steps, _ = words.shape
    spikes = memory.empty((steps, batch, features), dtype)
    parallel(_unpack, batch, words.numpy().view(np.uint64), spikes.numpy())
    return spikes


@kernel
def _unpack(ticket: Array, units: int, words: Array, spikes: Array) -> None:
    features = spikes.shape[2]
    b = next_unit(ticket)
    while b < units:
        for t in range(spikes.shape[0]):
            row = spikes[t, b]
            for w in range(words.shape[2]):
                word = words[b, t, w]
                for j in range(min(WIDTH, features - w * WIDTH)):
                    row[w * WIDTH + j] = (word >> np.uint64(j)) & ONE
        b = next_unit(ticket)


def count(words: Tensor) -> Array:
    """Return how many spikes each sample has, int64 ``[B]``."""
    counts = np.empty(len(words), np.int64)
    parallel(_count, len(words), words.numpy().view(np.uint64), counts)
    return counts


@kernel
def _count(ticket: Array, units: int, words: Array, counts: Array) -> None:
    b = next_unit(ticket)
    while b < units:
        total = 0
        for t in range(words.shape[1]):
            for w in range(words.shape[2]):
                total += count_bits(words[b, t, w])
        counts[b] = total
        b = next_unit(ticket)


def by_timestep(words: Tensor, counts: Array) -> ByTimestep:
    """List the events of each sample in the order of their timesteps."""
    batch, steps, width = words.shape
    starts = np.empty((batch, steps + 1), np.int64)
    starts[:, 0] = np.cumsum(counts) - counts
    neurons = _indices(int(counts.sum()), width * WIDTH)
    parallel(_by_timestep, batch, words.numpy().view(np.uint64), neurons, starts)
    return ByTimestep(neurons, starts)


@kernel
def _by_timestep(ticket: Array, units: int, words: Array, neurons: Array, starts: Array) -> None:
    b = next_unit(ticket)
    while b < units:
        position = starts[b, 0]
        for t in range(words.shape[1]):
            for w in range(words.shape[2]):
                word = words[b, t, w]
                while word != 0:
                    neurons[position] = w * WIDTH + lowest_bit(word)
                    position += 1
                    word &= word - ONE
            starts[b, t + 1] = position
        b = next_unit(ticket)


def by_neuron(words: Tensor, counts: Array) -> ByNeuron:
    """List the events of each sample in the order of their neurons."""
    batch, steps, width = words.shape
    bits = words.numpy().view(np.uint64)
    active = np.empty(batch, np.int64)
    parallel(_count_active, batch, bits, active)
    groups = np.empty((batch, width + 1), np.int64)
    groups[:, 0] = np.cumsum(active) - active
    neurons = _indices(int(active.sum()), width * WIDTH)
    starts = memory.empty((len(neurons) + batch,), torch.int64).numpy()
    # One more for each sample than it has events: the loop writes where the next one would go.
    timesteps = _indices(int(counts.sum()) + batch, steps)
    first = np.cumsum(counts + 1) - (counts + 1)
    parallel(_by_neuron, batch, bits, first, groups, neurons, starts, timesteps)
    return ByNeuron(groups, neurons, starts, timesteps)


@kernel
def _count_active(ticket: Array, units: int, words: Array, active: Array) -> None:
    b = next_unit(ticket)
    while b < units:
        total = 0
        for w in range(words.shape[2]):
            total += count_bits(_any(words[b], w))
        active[b] = total
        b = next_unit(ticket)


@kernel
def _by_neuron(
    ticket: Array,
    units: int,
    words: Array,
    first: Array,
    groups: Array,
    neurons: Array,
    starts: Array,
    timesteps: Array,
) -> None:
    steps = words.shape[1]
    b = next_unit(ticket)
    while b < units:
        position, event = groups[b, 0], first[b]
        starts[position + b] = event
        for w in range(words.shape[2]):
            fired = _any(words[b], w)
            while fired != 0:
                bit = lowest_bit(fired)
                fired &= fired - ONE
                neurons[position] = w * WIDTH + bit
                for t in range(steps):
                    # Written in any case and kept if it fired: no branch to mispredict.
                    timesteps[event] = t
                    event += (words[b, t, w] >> np.uint64(bit)) & ONE
                position += 1
                starts[position + b] = event
            groups[b, w + 1] = position
        b = next_unit(ticket)


@inlined
def _any(words: Array, w: int) -> np.uint64:
    """Return the bits of word w that are set at some timestep."""
    fired = np.uint64(0)
    for t in range(len(words)):
        fired |= words[t, w]
    return fired


def _indices(size: int, below: int) -> Array:
    """Return room for ``size`` indices in the narrowest type that holds them."""
    dtype = torch.uint16 if below <= 1 << 16 else torch.int32
    array: Array = memory.empty((max(size, 1),), dtype).numpy()
    return array[:size]

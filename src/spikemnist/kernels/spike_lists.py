"""Packed spikes, one bit for each neuron and timestep, and the lists that kernels read.

Between layers a spike is a bit: word ``w`` of ``words[b, t]`` holds the neurons 64 w .. 64 w + 63
of sample ``b`` at timestep ``t``. Kernels read the spikes in one of two orders:

- *by timestep*: for each sample and timestep, the neurons that fired;
- *by neuron*: for each group of samples and neuron that fired in it, the timesteps at which it
  did.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` neurons, ``W`` words of 64 neurons.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikemnist._tensors import Array
from spikemnist.kernels import memory
from spikemnist.kernels.bits import count_bits, drop_lowest_bit, equal, lowest_bit
from spikemnist.kernels.blocks import blocks_of
from spikemnist.kernels.compiler import inlined, kernel, routine
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import borrowed, by_team, parallel, units_of

ONE = np.uint64(1)


class ByTimestep(NamedTuple):
    """``neurons[starts[b, t] : starts[b, t + 1]]`` fired in sample b at timestep t.

    There is room for `SPILL` more behind the events of each sample.
    """

    neurons: Array
    starts: Array


class ByNeuron(NamedTuple):
    """Firing times of each neuron, by *groups* of samples and *bursts* of timesteps.

    A group is ``group`` consecutive samples, a burst ``burst`` consecutive timesteps; at least one
    of the two numbers is 1.

    The samples of a group are laid end to end in time: timestep t of sample i is timestep
    ``i * T + t`` of the group. The neurons that fired in group g are
    ``neurons[groups[g] : groups[g + 1]]``, and the one at position p fired in
    ``patterns[starts[p + g] : starts[p + g + 1]]``. A pattern is ``n << burst | bits``, where bit i
    is set if the neuron fired at timestep ``n * burst + i``. That of a single spike at timestep t
    is ``places[t]``.
    """

    groups: Array
    neurons: Array
    starts: Array
    patterns: Array
    places: Array
    burst: int
    group: int
    batch: int


SPILL = 3
"""Events by which writing may overshoot a list: the bits of a word are listed in fours."""

BURST = 4
"""Timesteps of a burst whose sums are tabulated, in all combinations, if neurons fire often."""

GROUP_STEPS = 200
"""Largest number of timesteps of a group of several samples: their rows just fit the cache."""


def pack(spikes: Tensor, scale: float = 1.0) -> tuple[Array, Array] | None:
    """Pack spikes ``[T, B, F]`` as words ``[B, T, W]``, and count the spikes of each sample.

    A spike is the number ``scale``. Returns None unless every number is 0 or ``scale``.
    """
    steps, batch, features = spikes.shape
    if spikes.dtype == torch.bool:
        spikes = spikes.view(torch.uint8)
    elif spikes.dtype not in (torch.uint8, torch.float32, torch.float64):
        spikes = spikes.to(torch.float32)
    words = memory.empty((batch, steps, blocks_of(features)), np.uint64)
    counts, analog = np.empty(batch, np.int64), np.zeros(1, np.bool_)
    dense = spikes.detach().contiguous().numpy()
    one = dense.dtype.type(scale)
    parallel(_pack, batch, dense, one, words, counts, analog, work=dense.nbytes // 8)
    return None if analog[0] else (words, counts)


@kernel
def _pack(
    queue: Array, spikes: Array, one: Any, words: Array, counts: Array, analog: Array
) -> None:
    if by_team(queue):
        return
    spikes, words, counts, analog = borrowed((spikes, words, counts, analog))
    steps, features = spikes.shape[0], spikes.shape[2]
    full_words = features // WIDTH
    zero = spikes.dtype.type(0)
    for b in units_of(queue):
        total = 0
        for t in range(steps):
            row = spikes[t, b]
            for w in range(full_words):
                ones = equal(row[w * WIDTH : (w + 1) * WIDTH], one)
                words[b, t, w] = ones
                total += count_bits(ones)
            # In a separate loop: both comparisons at once need more registers than there are.
            for w in range(full_words):
                zeros = equal(row[w * WIDTH : (w + 1) * WIDTH], zero)
                if words[b, t, w] | zeros != ~np.uint64(0):
                    analog[0] = True
            if full_words < words.shape[2]:
                rest = np.uint64(0)
                for f in range(full_words * WIDTH, features):
                    if row[f] == one:
                        rest |= ONE << np.uint64(f - full_words * WIDTH)
                    elif row[f] != zero:
                        analog[0] = True
                words[b, t, full_words] = rest
                total += count_bits(rest)
        counts[b] = total


def unpack(words: Array, features: int, dtype: Any) -> Tensor:
    """Unpack words ``[B, T, W]`` to spikes ``[T, B, F]``, a tensor of a NumPy ``dtype``."""
    bits = np.unpackbits(words.view(np.uint8), axis=2, count=features, bitorder="little")
    return torch.from_numpy(memory.copy(bits.transpose(1, 0, 2), dtype))


def count(words: Array) -> Array:
    """Return the number of spikes in each row of words ``[R, ...]``, int64 ``[R]``."""
    ones = np.bitwise_count(words).reshape(len(words), math.prod(words.shape[1:]))
    counts: Array = np.add.reduce(ones, 1, np.int64)
    return counts


def by_timestep(words: Array, counts: Array) -> ByTimestep:
    """List the events of each sample in the order of their timesteps."""
    batch, steps, width = words.shape
    starts = np.empty((batch, steps + 1), np.int64)
    neurons = _empty_indices(int(np.add.reduce(counts)) + batch * SPILL, width * WIDTH)
    work = 3 * (words.size + len(neurons)) // 2
    parallel(_by_timestep, batch, words, counts, neurons, starts, work=work)
    return ByTimestep(neurons, starts)


@kernel
def _by_timestep(queue: Array, words: Array, counts: Array, neurons: Array, starts: Array) -> None:
    if by_team(queue):
        return
    words, counts, neurons, starts = borrowed((words, counts, neurons, starts))
    active, begins = np.empty(words.shape[2], np.int64), np.zeros(len(counts), np.int64)
    for b in range(1, len(counts)):
        begins[b] = begins[b - 1] + counts[b - 1] + SPILL
    for b in units_of(queue):
        starts[b, 0] = position = begins[b]
        for t in range(words.shape[1]):
            number = 0
            for w in range(words.shape[2]):
                # Always written, but kept only if the word has spikes: no branch to mispredict.
                active[number] = w
                number += words[b, t, w] != 0
            for i in range(number):
                word = words[b, t, active[i]]
                end = position + count_bits(word)
                # Few words need a second pass: a branch that is seldom mispredicted.
                while position < end:
                    for j in range(SPILL + 1):
                        neurons[position + j] = active[i] * WIDTH + lowest_bit(word)
                        word = drop_lowest_bit(word)
                    position += SPILL + 1
                position = end
            starts[b, t + 1] = position


def by_neuron(words: Array, counts: Array, *, grouped: bool = True) -> ByNeuron:
    """List the events of each group of samples in the order of their neurons.

    Unless ``grouped``, each sample is its own group.
    """
    batch, steps, width = words.shape
    fired = np.bitwise_or.reduce(words, axis=1)
    active, spikes = count(fired), int(np.add.reduce(counts))
    burst, group = _burst(spikes, int(np.add.reduce(active)), batch, steps), 1
    # No groups with tables: these fill the cache by themselves, and save more than groups do.
    if grouped and burst == 1 and batch > 1 and steps <= GROUP_STEPS // 2:
        group = min(GROUP_STEPS // steps, batch)
        fired = np.bitwise_or.reduceat(fired, range(0, batch, group), axis=0)
        active = count(fired)
    groups = np.zeros(len(active) + 1, np.int64)
    active.cumsum(out=groups[1:])
    neurons = _empty_indices(int(groups[-1]), width * WIDTH)
    starts = memory.empty((len(neurons) + len(active),), np.int64)
    patterns = _empty_indices(spikes, bursts_of(group * steps, burst) << burst)
    first = (counts.cumsum() - counts)[::group].copy()
    places = _places(steps, burst)
    events = ByNeuron(groups, neurons, starts, patterns, places, burst, group, batch)
    work, rows = 10 * words.size + len(patterns), words.reshape(-1, width)
    parallel(_by_neuron, len(active), rows, group * steps, fired, first, events, work=work)
    return events


def no_patterns(batch: int, steps: int) -> ByNeuron:
    """Return an empty list, in which each sample is a group."""
    nothing, none = np.empty(0, np.uint16), np.empty(0, np.int64)
    groups = np.zeros(batch + 1, np.int64)
    return ByNeuron(groups, nothing, none, nothing, _places(steps, 1), 1, 1, batch)


@functools.lru_cache(maxsize=64)
def _places(steps: int, burst: int) -> Array:
    t = np.arange(steps)
    places: Array = (t // burst << burst) + (1 << t % burst)
    return places


def bursts_of(steps: int, burst: int) -> int:
    """Return the number of bursts into which the timesteps are divided."""
    return -(-steps // burst)


def _burst(spikes: int, active: int, batch: int, steps: int) -> int:
    """Return the burst length with the fewest additions for the sum of delta over the spikes.

    With tables, each active neuron adds at most one row per burst, and each sample fills the
    table: all combinations of more than one timestep.
    """
    bursts = bursts_of(steps, BURST)
    filled = bursts * ((1 << BURST) - 1 - BURST)
    return BURST if active * bursts + batch * filled < spikes else 1


@kernel
def _by_neuron(
    queue: Array, words: Array, rows: int, fired: Array, first: Array, events: ByNeuron
) -> None:
    if by_team(queue):
        return
    words, fired, first, events = borrowed((words, fired, first, events))
    groups, neurons, starts, patterns, _, burst, _, _ = events
    chunks = -(-rows // WIDTH)
    over_time = np.empty((chunks, WIDTH), np.uint64)
    for g in units_of(queue):
        here = words[g * rows : (g + 1) * rows]
        position, event = groups[g], first[g]
        starts[position + g] = event
        for w in range(words.shape[1]):
            active = fired[g, w]
            if active != 0:
                for chunk in range(chunks):
                    _transpose_bits(over_time[chunk], here, chunk * WIDTH, w)
            while active != 0:
                bit = lowest_bit(active)
                active = drop_lowest_bit(active)
                neurons[position] = w * WIDTH + bit
                for chunk in range(chunks):
                    event = _emit(over_time[chunk, bit], chunk * WIDTH, burst, patterns, event)
                position += 1
                starts[position + g] = event


@inlined
def _emit(fired_at: np.uint64, begin: int, burst: int, patterns: Array, event: int) -> int:
    """Append the patterns of a word whose bit i is the spike at timestep begin + i."""
    # Bursts are powers of two: shifts in place of divisions.
    shift = lowest_bit(np.uint64(burst))
    mask = (ONE << np.uint64(burst)) - ONE
    while fired_at != 0:
        first = lowest_bit(fired_at) >> shift << shift
        pattern = (fired_at >> np.uint64(first)) & mask
        fired_at &= ~(mask << np.uint64(first))
        patterns[event] = ((begin + first) >> shift << burst) + np.int64(pattern)
        event += 1
    return event


@routine
def _transpose_bits(out: Array, words: Array, begin: int, w: int) -> None:
    """Set bit i of ``out[j]`` to bit j of ``words[begin + i, w]``.

    Squares of bits are swapped across the diagonal, the largest first (H. Warren, *Hacker's
    Delight*, 2nd edition, 2012, section 7-3).
    """
    here = max(0, min(WIDTH, len(words) - begin))
    for i in range(here):
        out[i] = words[begin + i, w]
    for i in range(here, WIDTH):
        out[i] = 0
    half, mask = WIDTH // 2, ~np.uint64(0) >> np.uint64(WIDTH // 2)
    while half > 0:
        shift = np.uint64(half)
        for block in range(0, WIDTH, 2 * half):
            for i in range(block, block + half):
                swap = ((out[i] >> shift) ^ out[i + half]) & mask
                out[i + half] ^= swap
                out[i] ^= swap << shift
        half //= 2
        mask ^= mask << np.uint64(half)


def _empty_indices(size: int, below: int) -> Array:
    """Return ``size`` uninitialised indices, of the narrowest type for numbers below ``below``."""
    return memory.empty((max(size, 1),), np.uint16 if below < 1 << 16 else np.int32)[:size]

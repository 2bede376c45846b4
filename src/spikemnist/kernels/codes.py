"""The codes of `spikemnist.encoding.spikes` in compiled kernels. Importing it loads Numba.

A unit of work is one sample. A thread first zeroes all timesteps of its sample and then writes the
ones, while the sample is in the first-level cache.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` pixels of an image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemnist import _splitmix as splitmix
from spikemnist._tensors import Array
from spikemnist.encoding.pixels import CodedPixels, Ramp
from spikemnist.kernels import memory
from spikemnist.kernels.blocks import blocks_of
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import borrowed, by_team, parallel, units_of

LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

_word = inlined(splitmix.word)


def bernoulli(
    bounds: CodedPixels, *, seeds: Tensor, num_steps: int, first_spike_time: int, dtype: torch.dtype
) -> Tensor:
    """Compute `spikemnist.encoding.spikes.bernoulli`."""
    arguments = seeds.numpy().view(np.uint64), first_spike_time
    return _write(_bernoulli, bounds, num_steps, dtype, *arguments)


def one_spike(times: CodedPixels, *, num_steps: int, dtype: torch.dtype) -> Tensor:
    """Compute `spikemnist.encoding.spikes.one_spike`."""
    return _write(_once, times, num_steps, dtype)


def _write(
    code: Callable[..., None],
    pixels: CodedPixels,
    num_steps: int,
    dtype: torch.dtype,
    *arguments: Any,
) -> Tensor:
    """Return the spikes ``[T, B, F]`` that a kernel writes."""
    spikes = memory.empty((num_steps, *pixels.levels.shape), np.uint8)
    table = None if pixels.table is None else pixels.table.numpy()
    work = spikes.size // 8
    parallel(code, spikes.shape[1], pixels.levels.numpy(), table, spikes, *arguments, work=work)
    result = torch.from_numpy(spikes)
    return result.view(dtype) if dtype == torch.bool else result.to(dtype)


def bernoulli_words(bounds: CodedPixels, seeds: Tensor, num_steps: int) -> Array:
    """Return the spikes of `spikemnist.encoding.spikes.bernoulli` as bits, with no dense copy.

    Parameters
    ----------
    bounds
        Probabilities of ``B`` images, as in that function.
    seeds
        Seeds int64 ``[B]``. Each image gets its spikes as if it were alone in a batch.
    num_steps
        Number of timesteps, ``T``.

    Returns
    -------
    numpy.ndarray
        uint64 ``[B, T, W]``: bit j of word w is the spike of pixel 64 w + j.
    """
    batch, features = bounds.levels.shape
    words = memory.empty((batch, num_steps, blocks_of(features)), np.uint64)
    table = None if bounds.table is None else bounds.table.numpy()
    arguments = (bounds.levels.numpy(), table, seeds.numpy().view(np.uint64))
    parallel(_bernoulli_words, batch, *arguments, words, work=words.size * 16)
    return words


def one_spike_on(
    ramp: Ramp, pixels: Tensor, *, num_steps: int, dtype: torch.dtype
) -> Tensor | None:
    """Return spikes ``[T, B, F]``, one for each pixel at its timestep.

    The result is None if any pixel lies outside [0, 1].

    Parameters
    ----------
    ramp
        Function from pixels to timesteps; kernels do not check bounds, so its encoder has done it.
    pixels
        Pixels ``[B, F]``, float32.
    num_steps, dtype
        As in `LatencyEncoder`.
    """
    numbers, outside = np.array(ramp, np.float32), np.zeros(1, np.bool_)
    spikes = _write(_once_on, CodedPixels(pixels), num_steps, dtype, numbers, outside)
    return None if outside[0] else spikes


@kernel
def _bernoulli(
    queue: Array, levels: Array, table: Any, spikes: Array, seeds: Array, first: int
) -> None:
    if by_team(queue):
        return
    levels, table, spikes, seeds = borrowed((levels, table, spikes, seeds))
    steps, _, features = spikes.shape
    pairs = (steps + 1) // 2
    pixels = np.empty(features, np.int64)
    bounds, words = np.empty(features, np.uint64), np.empty(features, np.uint64)
    for b in units_of(queue):
        _silence(spikes, b)
        lit = 0
        for f in range(features):
            # Always written, but kept only if lit: there is no branch to mispredict.
            pixels[lit], bounds[lit] = f, np.uint64(_number(levels, table, b, f))
            lit += bounds[lit] > 0
        for k in range(first // 2, pairs):
            for i in range(lit):
                words[i] = _word(seeds[b], np.uint64(pixels[i] * pairs + k))
            if 2 * k >= first:
                row = spikes[2 * k, b]
                for i in range(lit):
                    row[pixels[i]] = (words[i] & LOW) < bounds[i]
            if 2 * k + 1 < steps:
                row = spikes[2 * k + 1, b]
                for i in range(lit):
                    row[pixels[i]] = (words[i] >> HALF) < bounds[i]


@kernel
def _bernoulli_words(queue: Array, levels: Array, table: Any, seeds: Array, words: Array) -> None:
    if by_team(queue):
        return
    levels, table, seeds, words = borrowed((levels, table, seeds, words))
    steps, width, features = words.shape[1], words.shape[2], levels.shape[1]
    pairs = (steps + 1) // 2
    pixels, ends = np.empty(features, np.int64), np.empty(width, np.int64)
    bounds = np.empty(features, np.uint64)
    for b in units_of(queue):
        lit = 0
        for f in range(features):
            # Always written, but kept only if lit: there is no branch to mispredict.
            pixels[lit], bounds[lit] = f, np.uint64(_number(levels, table, b, f))
            lit += bounds[lit] > 0
            ends[f // WIDTH] = lit
        for k in range(pairs):
            begin = 0
            for w in range(width):
                even, odd = np.uint64(0), np.uint64(0)
                for i in range(begin, ends[w]):
                    word = np.uint64(_word(seeds[b], np.uint64(pixels[i] * pairs + k)))
                    place = np.uint64(pixels[i] % WIDTH)
                    even |= np.uint64((word & LOW) < bounds[i]) << place
                    odd |= np.uint64((word >> HALF) < bounds[i]) << place
                begin = ends[w]
                words[b, 2 * k, w] = even
                if 2 * k + 1 < steps:
                    words[b, 2 * k + 1, w] = odd


@kernel
def _once(queue: Array, levels: Array, table: Any, spikes: Array) -> None:
    if by_team(queue):
        return
    levels, table, spikes = borrowed((levels, table, spikes))
    steps, _, features = spikes.shape
    lit = np.empty(features, np.int64)
    for b in units_of(queue):
        _silence(spikes, b)
        number = 0
        for f in range(features):
            # Always written, but kept only if lit: there is no branch to mispredict.
            lit[number] = f
            time = int(_number(levels, table, b, f))
            number += (time >= 0) & (time < steps)
        for i in range(number):
            spikes[int(_number(levels, table, b, lit[i])), b, lit[i]] = 1


@kernel
def _once_on(
    queue: Array, pixels: Array, table: None, spikes: Array, ramp: Array, outside: Any
) -> None:
    if by_team(queue):
        return
    pixels, spikes, ramp, outside = borrowed((pixels, spikes, ramp, outside))
    slope, latest, first, silent_below = ramp[0], ramp[1], ramp[2], ramp[3]
    zero, one = np.float32(0), np.float32(1)
    lit = np.empty(spikes.shape[2], np.int64)
    for b in units_of(queue):
        _silence(spikes, b)
        row, number, inside = pixels[b], 0, True
        for f in range(len(row)):
            # Always written, but kept only if lit: there is no branch to mispredict.
            lit[number] = f
            number += row[f] >= silent_below
            inside &= (row[f] >= zero) & (row[f] <= one)  # false for NaN
        if not inside:
            outside[0] = True
            number = 0
        for i in range(number):
            time = np.rint(min((row[lit[i]] - one) * slope, latest) + first)
            spikes[np.int64(time), b, lit[i]] = 1


@inlined
def _silence(spikes: Array, b: int) -> None:
    for t in range(len(spikes)):
        spikes[t, b] = 0


@inlined
def _number(levels: Array, table: Any, b: int, f: int) -> Any:
    """Return the number of a pixel. The argument types alone decide the branch."""
    if table is None:
        return levels[b, f]
    return table[levels[b, f]]

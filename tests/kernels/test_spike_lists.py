"""Spikes as bits and as lists of events, compared with plain torch.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` neurons, ``W`` words of 64 neurons.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.kernels import spike_lists
from spikemnist.kernels.blocks import blocks_of
from tests.laws.stacks import spikes
from tests.strategies import SEEDS

DTYPES = [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64]


@st.composite
def rasters(draw: st.DrawFn) -> Tensor:
    """Draw spikes ``[T, B, F]``, more than 64 of either timesteps or neurons among them."""
    return spikes(
        draw(st.sampled_from([1, 2, 4, 7, 63, 64, 65, 130])),
        draw(st.integers(0, 3)),
        draw(st.sampled_from([1, 2, 63, 64, 65, 130])),
        density=draw(st.sampled_from([0.0, 0.01, 0.3, 0.9, 1.0])),
        seed=draw(SEEDS),
    )


def packed(raster: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the words of spikes, and the counts that belong to them."""
    actual = spike_lists.pack(raster)
    assert actual is not None
    words, counts = actual
    expected = raster.long().sum((0, 2)).tolist()
    assert counts.tolist() == spike_lists.count(words).tolist() == expected
    return words, counts


@given(rasters(), st.sampled_from(DTYPES))
def test_bits_of_words(raster: Tensor, dtype: torch.dtype) -> None:
    words, _ = packed(raster.to(dtype))
    steps, batch, features = raster.shape
    assert words.shape == (batch, steps, blocks_of(features))
    bits = np.unpackbits(words.view(np.uint8), axis=2, bitorder="little")
    assert np.array_equal(bits[..., :features].swapaxes(0, 1), raster.numpy())
    assert not bits[..., features:].any()


@given(rasters(), st.sampled_from([torch.float32, torch.float64]))
def test_unpacked_spikes(raster: Tensor, dtype: torch.dtype) -> None:
    numbers = torch.empty(0, dtype=dtype).numpy().dtype
    unpacked = spike_lists.unpack(packed(raster)[0], raster.shape[2], numbers)
    assert unpacked.dtype == dtype
    assert torch.equal(unpacked, raster.to(dtype))


@given(rasters())
def test_events_by_timestep(raster: Tensor) -> None:
    listed = spike_lists.by_timestep(*packed(raster))
    assert len(listed.neurons) == raster.sum() + spike_lists.SPILL * raster.shape[1]
    for b in range(raster.shape[1]):
        for t in range(raster.shape[0]):
            neurons = listed.neurons[listed.starts[b, t] : listed.starts[b, t + 1]]
            assert neurons.tolist() == raster[t, b].nonzero().flatten().tolist()


@given(rasters())
@example(spikes(65, 2, 3, density=0.9))
@example(spikes(65, 2, 3, density=0.01))
@example(spikes(1, 201, 3, density=0.1))
@example(spikes(7, 100, 70, density=0.02))
def test_events_by_neuron(raster: Tensor) -> None:
    listed = spike_lists.by_neuron(*packed(raster))
    batch = raster.shape[1]
    for g, begin in enumerate(range(0, batch, listed.group)):
        # The timesteps of a group's samples, one sample after the other.
        together = raster[:, begin : begin + listed.group].transpose(0, 1).flatten(0, 1)
        positions = range(listed.groups[g], listed.groups[g + 1])
        fired = together.any(0).nonzero().flatten().tolist()
        assert [listed.neurons[position] for position in positions] == fired
        for position, neuron in zip(positions, fired, strict=True):
            start, stop = listed.starts[position + g], listed.starts[position + g + 1]
            patterns = listed.patterns[start:stop].tolist()
            times = [time for pattern in patterns for time in of_pattern(pattern, listed.burst)]
            assert times == together[:, neuron].nonzero().flatten().tolist()
    assert len(listed.groups) == -(-batch // listed.group) + 1


def of_pattern(pattern: int, burst: int) -> list[int]:
    """Return the timesteps of a pattern: see `spike_lists.ByNeuron`."""
    first = (pattern >> burst) * burst
    return [first + bit for bit in range(burst) if pattern >> bit & 1]


@pytest.mark.parametrize(("steps", "features"), [(3, (1 << 16) + 1), ((1 << 15) + 1, 3)])
def test_positions_beyond_sixteen_bits(steps: int, features: int) -> None:
    raster = torch.zeros(steps, 1, features)
    raster[0, 0, 0] = raster[steps // 2, 0, 1] = raster[-1, 0, -1] = 1
    words, counts = packed(raster)
    by_timestep = spike_lists.by_timestep(words, counts)
    by_neuron = spike_lists.by_neuron(words, counts)
    assert by_timestep.neurons[:3].tolist() == by_neuron.neurons.tolist() == [0, 1, features - 1]
    assert np.diff(by_timestep.starts[0]).nonzero()[0].tolist() == [0, steps // 2, steps - 1]
    times = [of_pattern(pattern, by_neuron.burst) for pattern in by_neuron.patterns.tolist()]
    assert times == [[0], [steps // 2], [steps - 1]]


def test_bursts_of_frequent_spikes() -> None:
    def burst(density: float) -> int:
        return spike_lists.by_neuron(*packed(spikes(64, 4, 200, density=density))).burst

    assert burst(0.01) == 1
    assert burst(0.6) == spike_lists.BURST > 1


@pytest.mark.parametrize(("steps", "batch", "group"), [(25, 128, 8), (25, 3, 3), (300, 4, 1)])
def test_groups_of_sparse_samples(steps: int, batch: int, group: int) -> None:
    listed = spike_lists.by_neuron(*packed(spikes(steps, batch, 100, density=0.01)))
    assert listed.group == group


OTHERS = [
    *((torch.uint8, number) for number in (2, 255)),
    *((torch.int64, number) for number in (2, -1, 1 << 32)),
    *((torch.float32, number) for number in (2.0, -1.0, 0.5, math.nan, math.inf, 1e-45)),
    (torch.float32, 1 + torch.finfo(torch.float32).eps),
    (torch.float64, 1 + torch.finfo(torch.float64).eps),
    (torch.float64, 5e-324),
]


@pytest.mark.parametrize("features", [63, 64, 65])
@pytest.mark.parametrize(("dtype", "number"), OTHERS)
def test_other_numbers_are_not_packed(features: int, dtype: torch.dtype, number: float) -> None:
    for t, b, f in ((0, 0, 0), (6, 2, features - 1), (3, 1, min(63, features - 1))):
        raster = spikes(7, 3, features, dtype=dtype)
        raster[t, b, f] = number
        assert spike_lists.pack(raster) is None


@given(st.integers(0, 2**31), st.integers(1, 1 << 17))
def test_bits_of_indices(size: int, below: int) -> None:
    array = spike_lists._empty_indices(size % 1000, below)
    assert len(array) == size % 1000
    assert np.iinfo(array.dtype).max >= below
    assert array.itemsize == (2 if below < 1 << 16 else 4)

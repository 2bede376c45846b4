"""What each of the further codes does. Shapes: ``T`` timesteps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.encoding import (
    BurstEncoder,
    DeltaEncoder,
    PhaseEncoder,
    PopulationEncoder,
    RankOrderEncoder,
)
from spikemnist.training import Recipe
from tests.encoding.encoder_cases import GREYS
from tests.strategies import pixels


@given(pixels(), st.integers(1, 12), st.sampled_from([0.1, 0.25, 0.3, 1.0]))
def test_estimate_of_the_delta_code(images: Tensor, num_steps: int, threshold: float) -> None:
    spikes = DeltaEncoder(num_steps=num_steps, threshold=threshold)(images)
    x, estimate = images.double() / 255, torch.zeros(images.shape, dtype=torch.float64)
    for step in spikes:
        # Single precision may round a pixel across a step.
        near = (x - estimate - threshold).abs() < 1e-6
        assert torch.equal((step > 0) | near, (x - estimate >= threshold) | near)
        estimate += threshold * step


def test_binary_numbers_of_the_phase_code() -> None:
    spikes = PhaseEncoder(num_steps=16)(GREYS)[:, 0].long()
    for grey in range(256):
        assert "".join(map(str, spikes[:8, grey].tolist())) == f"{grey:08b}"
    assert torch.equal(spikes[:8], spikes[8:])


@given(st.integers(0, 255), st.integers(1, 9), st.integers(1, 4), st.integers(0, 6))
def test_number_and_interval_of_a_burst(grey: int, most: int, shortest: int, spread: int) -> None:
    longest = shortest + spread
    encoder = BurstEncoder(
        num_steps=100, max_spikes=most, min_interval=shortest, max_interval=longest
    )
    times = encoder(torch.full((1,), grey).byte())[:, 0].nonzero().flatten().tolist()
    assert len(times) == math.ceil(most * grey / 255 - 1e-9)
    interval = math.ceil(longest - spread * grey / 255 - 1e-6)
    assert times == [k * interval for k in range(len(times))]


@pytest.mark.parametrize("most", range(2, 12))
@pytest.mark.parametrize("interval", [(1, 1), (2, 5), (1, 30)])
def test_window_of_a_burst(most: int, interval: tuple[int, int]) -> None:
    options = {"max_spikes": most, "min_interval": interval[0], "max_interval": interval[1]}
    spikes = BurstEncoder(num_steps=400, **options)(torch.linspace(0, 1, 4001)[None])
    latest = int(spikes.flatten(1).any(1).nonzero().max())
    BurstEncoder(num_steps=latest + 1, **options)
    with pytest.raises(ValueError, match=f"num_steps={latest}: raise num_steps to {latest + 1},"):
        BurstEncoder(num_steps=latest, **options)


@given(pixels(min_batch=1), st.integers(1, 20))
def test_rank_order_and_brightness(images: Tensor, num_steps: int) -> None:
    flat = images.reshape(len(images), -1)
    spikes = RankOrderEncoder(num_steps=num_steps)(flat)
    assert torch.equal(spikes.sum(0) > 0, flat > 0)
    times = spikes.argmax(0)
    for image, time in zip(flat, times, strict=True):
        lit = image > 0
        order = image[lit].argsort(descending=True)
        assert bool((time[lit][order].diff() >= 0).all())
        for grey in image[lit].unique():
            assert len(time[image == grey].unique()) == 1


@given(pixels(min_batch=1), st.integers(1, 20))
def test_rank_order_contrast_and_gamma(images: Tensor, num_steps: int) -> None:
    encoder, x = RankOrderEncoder(num_steps=num_steps), images.double() / 255
    for changed in (x * 0.3, x**2, x.sqrt()):
        assert torch.equal(encoder(changed), encoder(images))


def test_rank_order_in_the_whole_window() -> None:
    spikes = RankOrderEncoder(num_steps=5)(torch.arange(1, 101)[None].byte())
    assert spikes.sum((1, 2)).tolist() == [20.0] * 5


def test_preferred_pixels_of_fields() -> None:
    encoder = PopulationEncoder(num_steps=100, num_fields=6)
    spikes = encoder(torch.linspace(0, 1, 1001)[None])[:, 0]
    times = torch.where(spikes.any(0), spikes.argmax(0), 100)
    for field in range(1, 5):  # the two at the ends prefer what no pixel has
        preferred = (2 * field - 1) / 8
        assert int(times[field, round(1000 * preferred)]) == 0
        nearest = torch.linspace(0, 1, 1001)[times[field] == times[field].min()]
        assert abs(nearest.mean().item() - preferred) < 0.01
    assert bool(spikes.any(0).any(0).all())


def test_a_code_with_channels_goes_into_convolutions() -> None:
    recipe = Recipe(network={"name": "conv"}, encoder={"name": "population", "num_steps": 3})
    assert recipe.classifier().network.in_shape == (8, 28, 28)

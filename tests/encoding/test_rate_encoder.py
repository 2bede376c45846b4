"""The rate code. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch import spikegen
from strategies import SEEDS, pixels
from torch import Tensor

from spikemnist.encoding import RateEncoder

GREYS = torch.arange(256, dtype=torch.uint8)[None]


def largest_deviation(probability: Tensor, draws: int, *, chance: float = 1e-9) -> Tensor:
    r"""Return how far the mean of Bernoulli draws lies from its probability, save by ``chance``.

    Bernstein's inequality, which holds for rare spikes too, where the normal law does not:
    :math:`P(|\bar S - p| > d) \le 2 \exp(-\frac{T d^2}{2 p (1 - p) + 2 d / 3}) =: 2 e^{-L}`,
    solved for d: about :math:`\sqrt{2L} = 6.5` standard errors where spikes are frequent.
    """
    level = math.log(2 / chance)
    variance = probability * (1 - probability)
    third = level / (3 * draws)
    return third + (third**2 + 2 * level * variance / draws).sqrt()


@given(
    SEEDS,
    st.floats(0, 3),
    st.floats(-1, 1),
    st.integers(0, 10),
)
def test_the_mean_is_the_pixel(seed: int, gain: float, offset: float, first: int) -> None:
    encoder = RateEncoder(num_steps=2000, gain=gain, offset=offset, first_spike_time=first)
    spikes = encoder(GREYS, generator=torch.Generator().manual_seed(seed))
    assert not spikes[:first].any()
    probability = (GREYS.double() / 255 * gain + offset).clamp(0, 1)
    rate = spikes[first:].double().mean(0)
    # 1e-6: the encoder rounds the probability to single precision.
    tolerance = largest_deviation(probability, 2000 - first) + 1e-6
    assert ((rate - probability).abs() <= tolerance).all()


def test_timesteps_and_pixels_are_independent() -> None:
    probability = torch.full((1, 200), 0.3)
    spikes = RateEncoder(num_steps=4000)(probability, generator=torch.Generator().manual_seed(0))
    in_time = (spikes[0::2] * spikes[1::2]).mean(0)
    in_space = (spikes[:, :, 0::2] * spikes[:, :, 1::2]).mean(0)
    square = torch.tensor(0.09)
    assert ((in_time - square).abs() <= largest_deviation(square, 2000)).all()
    assert ((in_space - square).abs() <= largest_deviation(square, 4000)).all()


@given(SEEDS)
def test_black_never_and_white_always_fires(seed: int) -> None:
    images = torch.tensor([[0.0, 1.0]]).repeat(50, 1)
    spikes = RateEncoder(num_steps=50)(images, generator=torch.Generator().manual_seed(seed))
    assert not spikes[..., 0].any()
    assert spikes[..., 1].all()


@given(pixels(), SEEDS, st.floats(0, 2, width=32), st.floats(-0.5, 0.5, width=32))
def test_draws_what_snntorch_draws(images: Tensor, seed: int, gain: float, offset: float) -> None:
    encoder = RateEncoder(num_steps=6, gain=gain, offset=offset, first_spike_time=2)
    ours = encoder(images, generator=torch.Generator().manual_seed(seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = spikegen.rate(
            images.float() / 255, num_steps=6, gain=gain, offset=offset, first_spike_time=2
        )
    assert torch.equal(ours, theirs)


def test_without_a_generator_torchs_own_is_the_source() -> None:
    images = torch.full((2, 50), 0.5)
    encoder = RateEncoder(num_steps=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first, second = encoder(images), encoder(images)
        torch.manual_seed(3)
        assert torch.equal(encoder(images), first)
    assert not torch.equal(first, second)
    assert torch.equal(encoder(images, generator=torch.Generator().manual_seed(3)), first)


def test_a_generator_goes_on_from_call_to_call() -> None:
    images = torch.full((2, 50), 0.5)
    generator = torch.Generator().manual_seed(0)
    encoder = RateEncoder(num_steps=5)
    assert not torch.equal(
        encoder(images, generator=generator), encoder(images, generator=generator)
    )


def test_spikes_go_where_the_images_are() -> None:
    """The meta device stands in for a GPU."""
    images = torch.empty(2, 3, dtype=torch.uint8, device="meta")
    assert RateEncoder(num_steps=5)(images).device.type == "meta"


@pytest.mark.parametrize("options", [{"gain": math.nan}, {"offset": math.inf}])
def test_gain_and_offset_are_finite(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="gain and offset must be finite; got"):
        RateEncoder(num_steps=5, **options)

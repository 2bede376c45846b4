"""The rate code. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch import spikegen
from torch import Tensor

from spikemnist import _splitmix as splitmix
from spikemnist.encoding import RateEncoder
from spikemnist.encoding.pixels import code_pixels
from tests.encoding.encoder_cases import GREYS, encode, plain_torch
from tests.strategies import SEEDS, pixels


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
def test_mean_over_time(seed: int, gain: float, offset: float, first: int) -> None:
    encoder = RateEncoder(num_steps=2000, gain=gain, offset=offset, first_spike_time=first)
    spikes = encode(encoder, GREYS, seed)
    assert not spikes[:first].any()
    probability = (GREYS.double() / 255 * gain + offset).clamp(0, 1)
    rate = spikes[first:].double().mean(0)
    # 1e-6: the encoder rounds the probability to single precision.
    tolerance = largest_deviation(probability, 2000 - first) + 1e-6
    assert ((rate - probability).abs() <= tolerance).all()


def test_distribution_of_snntorch() -> None:
    encoder = RateEncoder(num_steps=2000, gain=1.5, offset=-0.25)
    with torch.random.fork_rng(devices=[]), plain_torch():
        torch.manual_seed(0)
        ours = encoder(GREYS).double().mean(0)
        theirs = spikegen.rate(GREYS / 255, num_steps=2000, gain=1.5, offset=-0.25).double().mean(0)
    probability = (GREYS.double() / 255 * 1.5 - 0.25).clamp(0, 1)
    # The sum of both deviations, and of the roundings to single precision.
    assert ((ours - theirs).abs() <= 2 * (largest_deviation(probability, 2000) + 1e-6)).all()


def spikes_by_the_definition(encoder: RateEncoder, image: Tensor, seed: int) -> Tensor:
    """Return the spikes of a grey image, pixel by pixel, with Python's numbers."""
    pairs = -(-encoder.num_steps // 2)
    spikes = torch.zeros(encoder.num_steps, image.numel())
    for index, grey in enumerate(image.flatten().tolist()):
        x = float(torch.tensor(grey, dtype=torch.float32) / 255)
        scaled = float(torch.tensor(x * encoder.gain, dtype=torch.float32))
        probability = float(torch.tensor(scaled + encoder.offset, dtype=torch.float32))
        bound = round(min(max(probability, 0), 1) * 2**32)
        for t in range(encoder.first_spike_time, encoder.num_steps):
            word = splitmix.word(seed, index * pairs + t // 2)
            spikes[t, index] = (word >> 32 if t % 2 else word % 2**32) < bound
    return spikes.view(encoder.num_steps, *image.shape)


# Single-precision options, so that their products round once, in Python as in torch.
@given(
    pixels(), SEEDS, st.floats(0, 2, width=32), st.floats(-0.5, 0.5, width=32), st.integers(1, 7)
)
def test_definition_of_spikes(
    images: Tensor, seed: int, gain: float, offset: float, num_steps: int
) -> None:
    encoder = RateEncoder(
        num_steps=num_steps, gain=gain, offset=offset, first_spike_time=num_steps // 3
    )
    generator = torch.Generator().manual_seed(seed)
    expected = [
        spikes_by_the_definition(encoder, image, splitmix.draw_seed(generator)) for image in images
    ]
    spikes = encode(encoder, images, seed)
    assert torch.equal(spikes, torch.stack(expected, 1) if expected else spikes)


def test_spikes_of_a_seed() -> None:
    """A change here changes the results of every seed."""
    images = torch.tensor([[0, 32, 128, 224, 255]], dtype=torch.uint8)
    spikes = encode(RateEncoder(num_steps=7), images, seed=0).int()
    rows = ["".join(map(str, row)) for row in spikes[:, 0].tolist()]
    assert rows == ["00011", "00111", "01011", "00011", "00111", "01011", "00011"]


def test_generator_of_torch_by_default() -> None:
    images = torch.full((2, 50), 0.5)
    encoder = RateEncoder(num_steps=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        first, second = encoder(images), encoder(images)
        torch.manual_seed(3)
        assert torch.equal(encoder(images), first)
    assert not torch.equal(first, second)
    assert torch.equal(encoder(images, generator=torch.Generator().manual_seed(3)), first)


def test_rounding_of_probabilities() -> None:
    unit = 2.0**-32
    given = [0, 0.4 * unit, 0.6 * unit, 1.5 * unit, 2.5 * unit, 0.3, 1 - 2.0**-24, 1, 2.0**-149]
    bounds = code_pixels(RateEncoder(num_steps=5), torch.tensor([given])).numbers()
    tenths = round(float(torch.tensor(0.3)) * 2**32)
    assert bounds.tolist() == [[0, 0, 1, 2, 2, tenths, 2**32 - 2**8, 2**32, 0]]


@given(st.integers(0, 255), st.integers(1, 60))
def test_evenly_spaced_spikes(grey: int, num_steps: int) -> None:
    spikes = RateEncoder(num_steps=num_steps, deterministic=True)(torch.full((1,), grey).byte())
    expected = torch.arange(1, num_steps + 1).double() * (grey / 255)
    # No multiple of a grey value ends in one half, so that rounding cannot reach the bound.
    assert bool(((spikes[:, 0].cumsum(0) - expected).abs() <= 0.5).all())

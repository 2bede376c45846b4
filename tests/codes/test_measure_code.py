"""Measures of codes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from spikemnist.codes.measure import compare_codes
from spikemnist.data import load_digits
from spikemnist.encoding import (
    DeltaEncoder,
    DirectEncoder,
    Encoder,
    PhaseEncoder,
    RankOrderEncoder,
    RateEncoder,
    measure_code,
)
from tests.models.test_mps_operators import ENCODERS, as_on_mps, images

IMAGES = load_digits()[1].images[:8]


@dataclass(frozen=True)
class Noisy:
    """A code of one spike for each image, decoded with an error of plus or minus ``by``."""

    by: float
    num_steps: int = 1

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        spikes = torch.zeros(1, *images.shape)
        spikes[..., 0] = 1
        return spikes

    def decode(self, spikes: Tensor) -> Tensor:
        signs = (torch.arange(spikes[0].numel()) % 2 * 2 - 1).view(spikes.shape[1:])
        return 0.5 + self.by * signs


def test_closed_form_of_a_known_error() -> None:
    grey = torch.full((2, 100), 0.5)
    measure = measure_code(Noisy(by=0.25), grey)
    assert measure.error == pytest.approx(0.25)
    assert measure.spikes == 1
    assert measure.bits_per_spike == 0
    half = torch.tensor([0.0, 1.0]).repeat(2, 50)
    measure = measure_code(Noisy(by=0.5 - 0.01), half)
    noise = 1 / (12 * 255**2)
    expected = 50 * math.log2((0.25 + noise) / (0.01**2 + noise))
    assert measure.bits_per_spike == pytest.approx(expected, rel=1e-5)


def test_comparison_of_all_codes() -> None:
    codes = compare_codes(IMAGES, num_steps=4, seed=3)
    assert {"burst", "events"}.isdisjoint(codes.measures)
    assert codes.spikes.keys() == codes.measures.keys() > codes.decoded.keys()
    generator = torch.Generator().manual_seed(3)
    expected = measure_code(RateEncoder(num_steps=4), IMAGES, generator=generator)
    assert codes.measures["rate"] == expected
    assert "\nburst       the longest burst ends on timestep 6" in codes.text


def test_bits_per_spike() -> None:
    once, twice = (measure_code(PhaseEncoder(num_steps=steps), IMAGES) for steps in (8, 16))
    assert once.error == twice.error == 0
    assert once.spikes is not None
    assert twice.spikes == 2 * once.spikes
    assert once.bits_per_spike == pytest.approx(2 * (twice.bits_per_spike or 0))


def test_missing_measures() -> None:
    direct = measure_code(DirectEncoder(num_steps=4), IMAGES)
    assert (direct.spikes, direct.bits_per_spike) == (None, None)
    assert direct.error == pytest.approx(0, abs=1e-7)
    assert measure_code("direct", IMAGES) == measure_code(DirectEncoder(num_steps=8), IMAGES)
    ranks = measure_code(RankOrderEncoder(num_steps=4), IMAGES)
    assert ranks.spikes == torch.count_nonzero(IMAGES) / len(IMAGES)
    assert (ranks.error, ranks.bits_per_spike) == (None, None)
    silent = measure_code(DeltaEncoder(num_steps=4), torch.zeros(1, 3))
    assert (silent.spikes, silent.error, silent.bits_per_spike) == (0, 0, None)


def test_generator_of_random_codes() -> None:
    encoder = RateEncoder(num_steps=9)
    first, again, other = (
        measure_code(encoder, IMAGES, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
def test_operations_of_mps(encoder: Encoder) -> None:
    """A measure decodes, where a code can be read back."""
    with as_on_mps():
        measure_code(encoder, images(torch.uint8))

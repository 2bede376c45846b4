"""The random numbers of the rate code: SplitMix64 in counter form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from operator import and_, or_

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist import _splitmix as splitmix

WORDS = st.integers(0, 2**64 - 1)
SEEDS_63 = st.integers(0, 2**63 - 1)
# The published sequence of the seed 1234567, with which implementations are tested.
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def generate(seed: int) -> Iterator[int]:
    """Yield the words of SplitMix64, the paper's generator with a state."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = ((state ^ (state // 2**30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed // 2**27)) * 0x94D049BB133111EB) % 2**64
        yield mixed ^ (mixed // 2**31)


def unsigned(words: Tensor) -> list[int]:
    return [word % 2**64 for word in words.tolist()]


def test_the_published_sequence() -> None:
    assert [word for word, _ in zip(generate(1234567), range(5), strict=False)] == PUBLISHED


def test_a_device_with_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """On MPS, products of 64 bits may be wrong."""
    right, sizes = splitmix.words, list[int]()

    def words(seed: int, indices: Tensor) -> Tensor:
        sizes.append(len(indices))
        return right(seed, indices.cpu()) ^ wrong

    monkeypatch.setattr(splitmix, "words", words)
    monkeypatch.setattr(torch, "tensor", lambda data, device: torch.as_tensor(data))
    for wrong, device in ((0, "mps"), (1, "cpu")):  # noqa: B007 - `words` reads it
        splitmix._knows_words.cache_clear()
        for _ in range(3):
            assert splitmix.exact_device(torch.device("mps")).type == device
    assert len(sizes) == 2
    splitmix._knows_words.cache_clear()
    assert splitmix.exact_device(torch.device("cuda")).type == "cuda"
    assert splitmix.exact_device(torch.device("cpu")).type == "cpu"
    assert len(sizes) == 2


@given(WORDS)
def test_words_are_those_of_the_generator(seed: int) -> None:
    called = [word for _, word in zip(range(20), generate(seed), strict=False)]
    assert [splitmix.word(seed, index) for index in range(20)] == called


@given(SEEDS_63, st.lists(SEEDS_63, max_size=9))
def test_words_of_tensors(seed: int, indices: list[int]) -> None:
    tensor = torch.tensor(indices, dtype=torch.int64)
    assert unsigned(splitmix.words(seed, tensor)) == [splitmix.word(seed, i) for i in indices]
    assert tensor.tolist() == indices


def test_seeds_of_a_generator() -> None:
    generator = torch.Generator().manual_seed(0)
    seeds = [splitmix.draw_seed(generator) for _ in range(200)]
    # A bit comes out alike 200 times with a chance of 2^-199.
    assert reduce(or_, seeds) == 2**63 - 1
    assert reduce(and_, seeds) == 0
    again = torch.Generator().manual_seed(0)
    parts = [splitmix.draw_seeds(again, size) for size in (0, 1, 150, 49)]
    assert torch.cat(parts).tolist() == seeds


COUNT = 1 << 16
STEP = 13
"""Words of a pixel at T = 25: the words of its neighbour begin as many further on."""


def halves(seed: int, first: int = 0) -> tuple[Tensor, Tensor]:
    """Return the low and high halves of `COUNT` words, as fractions of 1."""
    words = splitmix.words(seed, torch.arange(first, first + COUNT))
    low, high = words & 0xFFFFFFFF, (words >> 32) & 0xFFFFFFFF
    return low.double() / 2**32, high.double() / 2**32


def distance_from_uniform(numbers: Tensor) -> float:
    """Return sup |F_n(x) - x|."""
    ordered = numbers.sort().values
    below = torch.arange(COUNT, dtype=torch.float64) / COUNT
    return float(torch.maximum(ordered - below, below + 1 / COUNT - ordered).max())


@pytest.mark.parametrize("seed", [0, 1234567, 2**63 - 1])
def test_both_halves_are_uniform(seed: int) -> None:
    """Kolmogorov-Smirnov, with the bound of Dvoretzky, Kiefer, Wolfowitz and Massart.

    P(sup |F_n - F| > d) <= 2 exp(-2 n d^2), which is 1e-9 at d = 0.0128 for n = 2^16.
    """
    bound = math.sqrt(math.log(2 / 1e-9) / (2 * COUNT))
    for half in halves(seed):
        assert distance_from_uniform(half) <= bound


# Two halves, each as seed, index of the first word, and which half.
PAIRS = {
    "the two timesteps of a word": ((5, 0, 0), (5, 0, 1)),
    "timesteps two apart": ((5, 0, 0), (5, 1, 0)),
    "a word and the next": ((5, 0, 1), (5, 1, 0)),
    "neighbouring pixels": ((5, 0, 0), (5, STEP, 0)),
    "neighbouring seeds": ((5, 0, 0), (6, 0, 0)),
    "seeds that differ in the highest bit": ((5, 0, 0), (5 + 2**62, 0, 0)),
}


def chi_square(left: Tensor, right: Tensor) -> float:
    """Compare how many pairs lie in each of 16 x 16 cells with the 256 that are expected."""
    cells = ((left * 16).long() * 16 + (right * 16).long()).bincount(minlength=256).double()
    expected = COUNT / 256
    return float(((cells - expected).square() / expected).sum())


@pytest.mark.parametrize("pair", PAIRS)
def test_numbers_are_independent(pair: str) -> None:
    """Chi-square with 255 degrees of freedom.

    Laurent and Massart (2000): a chi-square of k degrees exceeds k + 2 sqrt(k x) + 2 x, and falls
    below k - 2 sqrt(k x), with a chance of at most exp(-x) each. x = 21 is 8e-10: 443 and 108.
    """
    left, right = (halves(seed, first)[half] for seed, first, half in PAIRS[pair])
    spread = 2 * math.sqrt(255 * 21)
    assert 255 - spread <= chi_square(left, right) <= 255 + spread + 2 * 21

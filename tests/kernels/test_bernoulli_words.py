"""Spikes as bits are those of the dense rate code.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` pixels of an image, ``W`` words of 64 bits.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.encoding import RateEncoder
from spikemnist.encoding.pixels import code_pixels
from spikemnist.encoding.spikes import bernoulli
from spikemnist.kernels.codes import bernoulli_words
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.spike_lists import count
from tests.strategies import SEEDS


def images_of(seed: int, batch: int, features: int, dtype: torch.dtype, lit: float) -> Tensor:
    """Draw images ``[B, F]`` of which a share of the pixels is not black."""
    random = torch.Generator().manual_seed(seed)
    grey = torch.randint(1, 256, (batch, features), generator=random)
    grey *= torch.rand(batch, features, generator=random) < lit
    return grey.to(torch.uint8) if dtype == torch.uint8 else grey.to(dtype) / 255


def seeds_of(seed: int, batch: int) -> Tensor:
    """Draw any 64 bits for each image: as int64, also negative ones."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(-(2**63), 2**63, batch))


def unpacked(words: np.ndarray, features: int) -> np.ndarray:
    """Return bits as bool ``[T, B, F]``; those after the last pixel must be 0."""
    bits = words[..., None] >> np.arange(WIDTH, dtype=np.uint64) & 1
    dense = bits.astype(bool).reshape(*words.shape[:2], words.shape[2] * WIDTH)
    assert not dense[..., features:].any()
    return dense[..., :features].transpose(1, 0, 2)


IMAGES = st.builds(
    images_of,
    SEEDS,
    st.integers(0, 4),
    st.sampled_from([1, 5, 63, 64, 65, 128, 200]),
    st.sampled_from([torch.uint8, torch.float32]),
    st.sampled_from([0.0, 0.2, 1.0]),
)


@given(IMAGES, SEEDS, st.sampled_from([1, 2, 3, 8, 9]), st.sampled_from([0.06, 0.5, 1.0, 3.0]))
def test_bits_are_the_spikes_of_each_image_alone(
    images: Tensor, seed: int, num_steps: int, gain: float
) -> None:
    encoder = RateEncoder(num_steps=num_steps, gain=gain)
    (batch, features), seeds = images.shape, seeds_of(seed, len(images))
    words = bernoulli_words(code_pixels(encoder, images), seeds, num_steps)
    counts = count(words)
    assert words.shape == (batch, num_steps, -(-features // WIDTH))
    assert words.dtype == np.uint64
    assert counts.dtype == np.int64
    raster = unpacked(words, features)
    for b in range(batch):
        alone = bernoulli(
            code_pixels(encoder, images[b : b + 1]),
            seeds=seeds[b : b + 1],
            num_steps=num_steps,
            first_spike_time=0,
            dtype=torch.bool,
        )
        assert np.array_equal(raster[:, b], alone[:, 0].numpy())
    assert counts.tolist() == raster.sum((0, 2)).tolist()


@pytest.mark.usefixtures("threads")
def test_number_of_threads() -> None:
    encoder = RateEncoder(num_steps=40, gain=0.5)
    images, seeds = images_of(7, 60, 784, torch.uint8, 0.3), seeds_of(7, 60)
    results = []
    for number in (1, 2, 8):
        torch.set_num_threads(number)
        words = bernoulli_words(code_pixels(encoder, images), seeds, 40)
        results.append((words.copy(), count(words)))
    for words, counts in results[1:]:
        assert np.array_equal(words, results[0][0])
        assert np.array_equal(counts, results[0][1])

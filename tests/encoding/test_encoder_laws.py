"""Laws of every encoder. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.encoding import (
    DirectEncoder,
    Encoder,
    LatencyEncoder,
    RateEncoder,
    get_encoder,
)
from spikemnist.encoding.registry import describe_encoder
from spikemnist.models import Classifier, LeakyMLP
from tests.encoding.encoder_cases import OFFERED, SPIKE_DTYPES, encode
from tests.rooms import of_rooms
from tests.strategies import SEEDS, pixels

RATE = RateEncoder(num_steps=7)
LINEAR = LatencyEncoder(num_steps=7)
LOG = LatencyEncoder(num_steps=7, curve="log", threshold=0.1)
UNCLIPPED = LatencyEncoder(num_steps=9, curve="log", tau=0.5, normalize=False, clip=False)
DIRECT = DirectEncoder(num_steps=7)
CERTAIN = [
    LINEAR,
    LOG,
    UNCLIPPED,
    RateEncoder(num_steps=7, deterministic=True),
    RateEncoder(num_steps=7, deterministic=True, gain=0.7, offset=0.1, first_spike_time=2),
    *of_rooms("CERTAIN"),
]
SPIKING = [RATE, *CERTAIN]
ALL = [*SPIKING, DIRECT]


def shape_of(encoder: Encoder, images: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that spikes of images of a shape have."""
    fields = (encoder.num_fields,) if hasattr(encoder, "num_fields") else ()
    return (encoder.num_steps, *images[:1], *fields, *images[1:])


@given(pixels(), st.sampled_from(SPIKING), st.sampled_from(SPIKE_DTYPES))
def test_values_shape_and_dtype_of_spikes(
    images: Tensor, encoder: Encoder, dtype: torch.dtype
) -> None:
    spikes = encode(encoder, images, dtype=dtype)
    assert spikes.shape == shape_of(encoder, images.shape)
    assert spikes.dtype == dtype
    assert spikes.device == images.device
    assert set(spikes.float().unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(spikes.float(), encode(encoder, images))


@given(pixels(), st.sampled_from(ALL))
def test_dtypes_of_images(images: Tensor, encoder: Encoder) -> None:
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(encode(encoder, images), encode(encoder, images.to(dtype) / 255))
    for dtype in (torch.float16, torch.bfloat16):
        half = images.to(dtype) / 255
        assert torch.equal(encode(encoder, half), encode(encoder, half.float()))


@given(pixels(min_batch=1), st.sampled_from(ALL), SEEDS)
def test_images_alone_and_in_a_batch(images: Tensor, encoder: Encoder, seed: int) -> None:
    together, generator = encode(encoder, images, seed), torch.Generator().manual_seed(seed)
    for index in range(len(images)):
        alone = encoder(images[index : index + 1], generator=generator)
        assert torch.equal(together[:, index : index + 1], alone)


@given(pixels(), st.sampled_from(ALL), SEEDS)
def test_calls_have_no_effects(images: Tensor, encoder: Encoder, seed: int) -> None:
    before, random_state = images.clone(), torch.get_rng_state()
    first = encode(encoder, images, seed)
    assert torch.equal(first, encode(encoder, images, seed))
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("encoder", ALL, ids=repr)
def test_memory_layout(encoder: Encoder) -> None:
    images = torch.rand(5, 6, 4, generator=torch.Generator().manual_seed(0)).permute(2, 0, 1)
    assert not images.is_contiguous()
    assert torch.equal(encode(encoder, images), encode(encoder, images.contiguous()))


@pytest.mark.parametrize("encoder", ALL, ids=repr)
@pytest.mark.parametrize("shape", [(0, 28, 28), (1,), (63,), (2, 257), (3, 0)])
def test_odd_and_empty_shapes(encoder: Encoder, shape: tuple[int, ...]) -> None:
    for images in (torch.zeros(shape), torch.ones(shape), torch.ones(shape, dtype=torch.uint8)):
        assert encoder(images).shape == shape_of(encoder, shape)


@pytest.mark.parametrize("name", sorted({*OFFERED} - {"burst", "events", "population"}))
def test_one_timestep(name: str) -> None:
    """A burst needs more, a population has a pixel's spike in one of its fields."""
    assert get_encoder(name, 1)(torch.ones(2, 3)).tolist() == [[[1.0] * 3] * 2]


@pytest.mark.parametrize("encoder", [*ALL, *of_rooms("OF_EVENTS")], ids=repr)
def test_configuration(encoder: Any) -> None:
    assert isinstance(encoder, Encoder)
    for twin in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder), replace(encoder)):
        assert twin == encoder
        assert hash(twin) == hash(encoder)
    assert replace(encoder, num_steps=70) != encoder
    with pytest.raises(FrozenInstanceError):
        encoder.num_steps = 3
    assert get_encoder(**json.loads(json.dumps(describe_encoder(encoder)))) == encoder


@pytest.mark.parametrize("encoder", ALL, ids=repr)
def test_compact_spikes(encoder: Any) -> None:
    images = torch.linspace(0, 1, 12).view(3, 4)
    classifier = Classifier(LeakyMLP((), in_features=4), encoder)
    compact = classifier.encode(images, generator=torch.Generator().manual_seed(0))
    assert (compact.dtype == torch.uint8) == (encoder != DIRECT)
    assert torch.equal(compact.float(), encode(encoder, images))


@pytest.mark.parametrize("name", OFFERED)
def test_timesteps_by_position_and_default(name: str) -> None:
    """All other options are named."""
    kind = type(get_encoder(name))
    assert describe_encoder(kind())["name"] == name
    assert kind(25) == kind(num_steps=25) == get_encoder(name, 25)
    assert kind() == get_encoder(name) == Classifier(LeakyMLP(), name).encoder == kind(8)
    with pytest.raises(TypeError, match="takes num_steps by position, and all else by name"):
        kind(25, 1)


@pytest.mark.parametrize("encoder", ALL, ids=repr)
def test_wrong_images(encoder: Encoder) -> None:
    """The messages for all kinds of values are tested with data sets."""
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]; got values in \[nan, nan\]"):
        encoder(torch.tensor([[0.5, float("nan")]]))
    with pytest.raises(ValueError, match=r"got values in \[inf, inf\]"):
        encoder(torch.tensor([[float("inf")]], dtype=torch.float16))
    with pytest.raises(ValueError, match=r"uint8 in 0..255 or floating.*got torch.int64"):
        encoder(torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"got a ndarray; convert it with torch\.from_numpy"):
        encoder(np.zeros((1, 2)))

"""Kernels and plain torch make the same spikes.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.encoding import LatencyEncoder, RateEncoder
from tests.encoding.encoder_cases import (
    SPIKE_DTYPES,
    encode,
    images,
    latency_encoders,
    plain_torch,
    rate_encoders,
)
from tests.strategies import SEEDS

RATE = RateEncoder(num_steps=25)
LATENCY = LatencyEncoder(num_steps=25)
EACH = pytest.mark.parametrize(
    ("encoder", "dtype"),
    [(RATE, torch.uint8), (LATENCY, torch.uint8), (RATE, torch.float32), (LATENCY, torch.bool)],
    ids=repr,
)
# Large enough for its spikes to lie in a pooled buffer.
BATCH = (torch.arange(16 * 300).view(16, 300) % 256).to(torch.uint8)
ACCELERATORS = [
    name
    for name, module in (("cuda", torch.cuda), ("mps", torch.backends.mps))
    if module.is_available()
]


@given(rate_encoders(), images(), st.sampled_from(SPIKE_DTYPES), SEEDS)
@example(RateEncoder(num_steps=1), torch.zeros(0, 3), torch.float32, 0)
@example(
    RateEncoder(num_steps=7, first_spike_time=3, offset=0.5), torch.zeros(2, 3), torch.float32, 0
)
@example(
    RateEncoder(num_steps=6, first_spike_time=5, gain=1e38), torch.ones(2, 3), torch.float32, 0
)
def test_rate_spikes_do_not_depend_on_the_path(
    encoder: RateEncoder, images: Tensor, dtype: torch.dtype, seed: int
) -> None:
    ours, theirs = (torch.Generator().manual_seed(seed) for _ in range(2))
    spikes = encoder(images, generator=ours, dtype=dtype)
    with plain_torch():
        plain = encoder(images, generator=theirs, dtype=dtype)
    assert torch.equal(spikes, plain)
    assert (spikes.dtype, spikes.device) == (plain.dtype, plain.device)
    assert torch.equal(ours.get_state(), theirs.get_state())
    for device in ACCELERATORS:
        if device == "mps" and torch.float64 in (images.dtype, dtype):
            continue  # which it does not have
        actual = encode(encoder, images.to(device), seed, dtype=dtype)
        assert actual.device.type == device
        assert torch.equal(actual.cpu(), spikes)


@given(latency_encoders(), images())
def test_latency_spikes_do_not_depend_on_the_path(encoder: LatencyEncoder, images: Tensor) -> None:
    spikes = encoder(images)
    with plain_torch():
        assert torch.equal(encoder(images), spikes)
    fired = spikes.any(0)
    assert torch.equal(spikes.float().argmax(0)[fired], encoder.spike_times(images)[fired].long())


@pytest.mark.parametrize("value", [-0.1, 1.001, float("nan"), float("inf"), -float("inf")])
def test_pixels_out_of_range_are_refused_on_either_path(value: float) -> None:
    images = torch.full((3, 5), 0.5)
    images[1, 4] = value
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        LATENCY(images)
    with plain_torch(), pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        LATENCY(images)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("encoder", [RATE, LATENCY], ids=repr)
def test_number_of_threads(
    encoder: RateEncoder | LatencyEncoder,
) -> None:
    ramp = torch.arange(112 * 784).view(112, 784)
    batch = (ramp * (ramp % 7 == 0) % 256).to(torch.uint8)
    results = []
    for count in (1, 2, 8):
        torch.set_num_threads(count)
        results.append(encode(encoder, batch))
        assert torch.get_num_threads() == count
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@EACH
def test_memory_of_spikes(encoder: RateEncoder | LatencyEncoder, dtype: torch.dtype) -> None:
    """A buffer is zeroed before it is used again, and not used while something refers to it."""
    before = encode(encoder, BATCH, dtype=dtype)
    copy = before.clone()
    scribbled = encode(encoder, BATCH, dtype=dtype)
    scribbled.fill_(1)
    view = scribbled[3]
    del scribbled
    assert torch.equal(encode(encoder, BATCH, dtype=dtype), copy)
    assert view.bool().all()
    assert torch.equal(before, copy)
    del view
    assert torch.equal(encode(encoder, BATCH, dtype=dtype), copy)
    assert type(before) is torch.Tensor
    assert before.is_contiguous()
    assert not before.requires_grad


@EACH
def test_kinds_of_images(encoder: RateEncoder | LatencyEncoder, dtype: torch.dtype) -> None:
    floating = BATCH / 255
    expected = encode(encoder, floating, dtype=dtype)
    assert torch.equal(encode(encoder, torch.nn.Parameter(floating), dtype=dtype), expected)
    with torch.inference_mode():
        assert torch.equal(encode(encoder, BATCH / 255, dtype=dtype), expected)
    assert encode(encoder, floating[0], dtype=dtype).shape == (25, 300)
    assert torch.equal(
        encode(encoder, floating[0, 200], dtype=dtype)[:, None],
        encode(encoder, floating[0, 200:201], dtype=dtype),
    )


@EACH
def test_devices_in_plain_torch(encoder: RateEncoder | LatencyEncoder, dtype: torch.dtype) -> None:
    """A tensor without a device would be on the default device, here meta."""
    odd = replace(encoder, num_steps=24)  # no other test has filled its table
    with plain_torch(), torch.device("meta"):
        spikes = [encode(odd, images, dtype=dtype) for images in (BATCH, BATCH / 255)]
    assert all(torch.equal(made, encode(odd, BATCH, dtype=dtype)) for made in spikes)


@pytest.mark.parametrize("encoder", [RATE, LATENCY], ids=repr)
def test_torch_compile(encoder: RateEncoder | LatencyEncoder) -> None:
    compiled = torch.compile(encode, backend="eager")
    with warnings.catch_warnings():
        # It warns of graph breaks at the checks.
        warnings.simplefilter("ignore")
        for images in (BATCH, BATCH / 255):
            assert torch.equal(compiled(encoder, images), encode(encoder, images))

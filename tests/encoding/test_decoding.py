"""Pixels decoded from spikes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from spikemnist.encoding import LatencyEncoder, RateEncoder
from tests.encoding.encoder_cases import GREYS
from tests.rooms import of_rooms

BRIGHTNESS = GREYS.float() / 255
ROUNDING = 1e-6


def decoded(encoder: Any) -> Tensor:
    """Encode and decode all grey values."""
    pixels: Tensor = encoder.decode(encoder(GREYS))
    assert pixels.shape == GREYS.shape
    assert pixels.dtype == torch.float32
    assert bool(((pixels >= 0) & (pixels <= 1)).all())
    return pixels


READABLE = [
    LatencyEncoder(num_steps=25),
    LatencyEncoder(num_steps=25, first_spike_time=3, threshold=0.2),
    LatencyEncoder(num_steps=40, normalize=False, tau=12.5),
    LatencyEncoder(num_steps=25, curve="log"),
    LatencyEncoder(num_steps=40, curve="log", normalize=False, tau=2.0, first_spike_time=2),
    LatencyEncoder(num_steps=1),
    *of_rooms("READABLE"),
]


@pytest.mark.parametrize("encoder", READABLE, ids=repr)
def test_decoded_pixels(encoder: Any) -> None:
    pixels = decoded(encoder)
    assert bool((pixels.diff() >= -ROUNDING).all())
    assert torch.equal(encoder(pixels), encoder(GREYS))


RESOLUTIONS = [
    (RateEncoder(num_steps=5, deterministic=True), 0.5 / 5),
    (RateEncoder(num_steps=25, deterministic=True), 0.5 / 25),
    (RateEncoder(num_steps=25, deterministic=True, first_spike_time=5), 0.5 / 20),
    (RateEncoder(num_steps=25, deterministic=True, gain=0.5, offset=0.25), 0.5 / 25 / 0.5),
    (LatencyEncoder(num_steps=25, threshold=0.0), 0.5 / 24),
    *of_rooms("RESOLUTIONS"),
]


@pytest.mark.parametrize(("encoder", "resolution"), RESOLUTIONS)
def test_resolution_of_decoded_pixels(encoder: Any, resolution: float) -> None:
    pixels = decoded(encoder)
    error = (pixels - BRIGHTNESS).abs().max()
    assert error <= resolution + ROUNDING
    assert error >= resolution / 4
    assert bool((pixels.diff() >= -ROUNDING).all())

"""The latency code. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from snntorch import spikegen
from torch import Tensor

from spikemnist.encoding import LatencyEncoder
from tests.encoding.encoder_cases import GREYS, latency_encoders
from tests.strategies import pixels


def single(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float32))


def exact_times(encoder: LatencyEncoder, images: Tensor) -> Tensor:
    """Return the closed form, float64 and not rounded.

    The threshold and the lowest intensity that the logarithm tells from it are single precision
    numbers, as in the encoder: their distance, one or two units in the last place, matters.
    """
    x = (images.float() / 255).double()
    window = encoder.num_steps - 1 - encoder.first_spike_time
    if encoder.curve == "linear":
        tau = window if encoder.normalize else encoder.tau
        return tau * (1 - x.clamp_min(encoder.threshold)) + encoder.first_spike_time
    threshold = single(encoder.threshold)
    lowest = single(encoder.threshold + 1e-7)
    x = x.clamp_min(lowest)
    times = encoder.tau * torch.log(x / (x - threshold))
    if encoder.normalize:
        times = times * window / (encoder.tau * math.log(lowest / (lowest - threshold)))
    return times + encoder.first_spike_time


def away_from_ties(times: Tensor) -> Tensor:
    """Where rounding in single precision cannot move a time to the next timestep."""
    return (times - times.floor() - 0.5).abs() > 1e-4


@given(latency_encoders())
def test_closed_form_of_times(encoder: LatencyEncoder) -> None:
    expected = exact_times(encoder, GREYS)
    times = encoder.spike_times(GREYS)
    sure = away_from_ties(expected)
    assert torch.equal(times[sure], expected[sure].round().float())
    assert ((times - expected).abs() <= 0.5 + 1e-4).all()


@given(latency_encoders(), pixels())
def test_one_spike_for_each_pixel(encoder: LatencyEncoder, images: Tensor) -> None:
    below = images.float() / 255 < single(encoder.threshold)
    expected = torch.where(below & encoder.clip, 0, 1)
    assert torch.equal(encoder(images).sum(0).long(), expected)


@pytest.mark.parametrize("curve", ["linear", "log"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_pixels_at_the_threshold(curve: Any, dtype: torch.dtype) -> None:
    encoder = LatencyEncoder(num_steps=9, threshold=0.2, curve=curve)
    greys = torch.tensor([[50, 51, 52]], dtype=torch.uint8)  # 51 / 255 = 0.2
    images = greys if dtype == torch.uint8 else greys.to(dtype) / 255
    assert encoder(images).sum(0).tolist() == [[0.0, 1.0, 1.0]]


@given(latency_encoders(), pixels(min_batch=1))
@example(LatencyEncoder(num_steps=1), torch.tensor([[0, 2, 3, 255]], dtype=torch.uint8))
def test_latency_of_snntorch(encoder: LatencyEncoder, images: Tensor) -> None:
    if encoder.curve == "log" and encoder.normalize:
        # snnTorch stretches by the latest spike of the batch: give it one at the threshold.
        images = torch.cat([images, torch.zeros_like(images[:1])])
    theirs = spikegen.latency(
        images.float() / 255,
        num_steps=encoder.num_steps,
        threshold=encoder.threshold,
        tau=encoder.tau,
        first_spike_time=encoder.first_spike_time,
        clip=encoder.clip,
        normalize=encoder.normalize,
        linear=encoder.curve == "linear",
    )
    sure = away_from_ties(exact_times(encoder, images))
    assert torch.equal(encoder(images)[:, sure], theirs[:, sure])


@given(st.floats(0.02, 0.99), st.floats(0.5, 8), st.integers(1, 150))
@example(threshold=0.5, tau=5.0, num_steps=77)
def test_latest_spikes_within_the_window(threshold: float, tau: float, num_steps: int) -> None:
    """Double precision images once fired a timestep later than the check had allowed for."""
    options: dict[str, Any] = {"curve": "log", "threshold": threshold, "tau": tau, "clip": False}
    try:
        encoder = LatencyEncoder(num_steps=num_steps, normalize=False, **options)
    except ValueError:
        assume(False)
    images = torch.tensor([[0.0, threshold, min(threshold + 1e-7, 1), 1]], dtype=torch.float64)
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        assert encoder(images.to(dtype)).sum(0).tolist() == [[1.0] * 4]


def test_charging_time_of_a_leaky_membrane() -> None:
    """Euler steps of dU/dt = (x - U) / tau reach the threshold at the time of the code."""
    encoder = LatencyEncoder(num_steps=700, curve="log", tau=40.0, threshold=0.2, normalize=False)
    images = torch.tensor([[0.25, 0.4, 0.7, 1.0]])
    membrane = torch.zeros(1, 4, dtype=torch.float64)
    reached = torch.full((1, 4), -1.0, dtype=torch.float64)
    step = 1e-2
    for tick in range(round(100 / step)):
        membrane += step / encoder.tau * (images - membrane)
        reached[(membrane >= encoder.threshold) & (reached < 0)] = tick * step
    assert ((encoder.spike_times(images) - reached).abs() <= 0.5 + 0.05).all()

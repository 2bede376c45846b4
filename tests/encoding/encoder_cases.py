"""Encoders and images to try them on, and both ways to encode.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor

from spikemnist._doors import is_installed
from spikemnist.encoding import ENCODERS, Encoder, LatencyEncoder, RateEncoder, spikes
from tests.strategies import pixels

GREYS = torch.arange(256, dtype=torch.uint8)[None]

SPIKE_DTYPES = [
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.uint8,
    torch.bool,
]


OFFERED = [name for name, path in ENCODERS.items() if is_installed(path)]
"""Names of the codes of the package whose room is there."""


def encode(encoder: Encoder, images: Tensor, seed: int = 0, **options: Any) -> Tensor:
    return encoder(images, generator=torch.Generator().manual_seed(seed), **options)


@contextmanager
def plain_torch() -> Iterator[None]:
    """Encode as where the kernels are missing."""
    with mock.patch.object(spikes, "is_installed", return_value=False):
        yield


@st.composite
def images(draw: st.DrawFn) -> Tensor:
    """Draw images ``[B, ...]`` of any dtype that an image may have; every other one is dark."""
    grey = draw(pixels())
    if draw(st.booleans()):
        grey = grey * (grey > 200)
    dtype = draw(
        st.sampled_from([torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
    )
    return grey if dtype == torch.uint8 else grey.to(dtype) / 255


@st.composite
def rate_encoders(draw: st.DrawFn) -> RateEncoder:
    num_steps = draw(st.integers(1, 9))
    gain = draw(st.sampled_from([1.0]) | st.floats(-3, 3))
    lowest = -1 if gain >= 0 else 2**-20  # a negative gain needs a positive offset
    return RateEncoder(
        num_steps=num_steps,
        gain=gain,
        offset=draw(st.sampled_from([max(0.0, lowest)]) | st.floats(lowest, 1)),
        first_spike_time=draw(st.integers(0, num_steps - 1)),
    )


@st.composite
def latency_encoders(draw: st.DrawFn) -> LatencyEncoder:
    """Draw an encoder whose latest spike lies in its window."""
    num_steps = draw(st.integers(1, 40))
    options: dict[str, Any] = {
        "num_steps": num_steps,
        "curve": draw(st.sampled_from(["linear", "log"])),
        "threshold": draw(st.sampled_from([0.004, 0.01, 0.1, 0.5, 0.9])),
        "clip": draw(st.booleans()),
        "normalize": draw(st.booleans()),
        "first_spike_time": draw(st.integers(0, num_steps - 1)),
        "tau": draw(st.floats(0.05, 5)),
    }
    try:
        return LatencyEncoder(**options)
    except ValueError as error:
        assume("the latest spike falls" not in str(error))
        raise

"""Messages on wrong arguments of encoders."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from spikemnist.encoding import (
    LatencyEncoder,
    RateEncoder,
    get_encoder,
    register_encoder,
)
from tests.encoding.encoder_cases import OFFERED

latency = partial(LatencyEncoder, 10)
SPIKES = torch.zeros(5, 1, 3)
BEYOND_THE_WINDOW = (
    r"latest spike falls on timestep 20, after the last of num_steps=10: raise num_steps "
    r"to 21, lower tau, or set normalize=True"
)
NO_NAME = r"takes the encoder's name, as in @register_encoder\('my"


@pytest.mark.parametrize("name", OFFERED)
@pytest.mark.parametrize("num_steps", [0, True, 2.5, "25"])
def test_num_steps(name: str, num_steps: Any) -> None:
    with pytest.raises(ValueError, match=f"num_steps must be an integer >= 1; got {num_steps!r}"):
        get_encoder(name, num_steps=num_steps)


@pytest.mark.parametrize("kind", [RateEncoder, LatencyEncoder])
@pytest.mark.parametrize("first_spike_time", [-1, 5, 9, True, 1.0])
def test_first_spike_time(kind: Any, first_spike_time: Any) -> None:
    with pytest.raises(ValueError, match=rf"integer in 0\.\.4; got {first_spike_time!r}"):
        kind(num_steps=5, first_spike_time=first_spike_time)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RateEncoder(5, gain=-1), r"no pixel would ever fire with gain=-1.0 and"),
        (lambda: RateEncoder(5, gain=-1, offset=-0.1), "offset=1 inverts an image"),
        (lambda: RateEncoder(5, gain=0.0).decode(SPIKES), "do not depend on the image"),
        (
            lambda: latency(threshold=-0.1),
            r"threshold must be a number, at least 0 and below 1; got -0.1",
        ),
        (lambda: latency(threshold=math.nan), r"at least 0 and below 1; got nan"),
        (
            lambda: latency(threshold=0.0, curve="log"),
            r"at least 1e-07 and below 1; got 0.0",
        ),
        (lambda: latency(tau=0.0), "tau must be a number, above 0 and finite; got 0.0"),
        (lambda: latency(tau=math.nan), "tau must be a number, above 0 and finite; got nan"),
        (
            lambda: latency(curve="exponential"),
            "curve must be one of linear, log; got 'exponential'",
        ),
        (lambda: latency(tau=20.0, normalize=False), BEYOND_THE_WINDOW),
    ],
)
def test_values(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_encoder("rate", num_steps=3, volume=11), "volume"),
        # Without parentheses, the decorator gets the class.
        (lambda: register_encoder(LatencyEncoder), NO_NAME),
        (lambda: register_encoder(""), NO_NAME),
    ],
)
def test_types(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()

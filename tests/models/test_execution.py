"""How a call of a model reaches the code that runs its layers."""

from __future__ import annotations

import traceback
from pathlib import Path
from unittest import mock

import pytest
import torch

import spikemnist
from spikemnist.engine import layer_run
from spikemnist.models import LeakyMLP

PACKAGE = Path(spikemnist.__file__).parent


@pytest.mark.parametrize("train", [False, True])
def test_frames_before_the_first_kernel(train: bool) -> None:
    """Each of them does a piece of the work: no door only forwards to the next."""
    frames: list[str] = []

    def parallel(*_: object, **__: object) -> None:
        paths = [Path(frame.filename) for frame in traceback.extract_stack()]
        frames.extend(path.name for path in paths if PACKAGE in path.parents)
        raise InterruptedError  # the first layer is reached

    model = LeakyMLP(hidden=(100,), backend="event_driven").train(train)
    with mock.patch.object(layer_run, "parallel", parallel), pytest.raises(InterruptedError):
        model(torch.ones(25, 4, 784))
    # `parallel` itself is the sixth.
    assert len(frames) + 1 <= 6, frames


def test_surrogate_without_a_name() -> None:
    model = LeakyMLP(30, (20,), 5, spike_grad=torch.sigmoid)
    spikes = torch.ones(20, 200, 30)
    assert model(spikes).backend == "reference"
    model.backend = "event_driven"
    with pytest.raises(
        ValueError, match=r"have the surrogates atan, .*, and not .*, in network\[0\]\.leaky"
    ):
        model(spikes)

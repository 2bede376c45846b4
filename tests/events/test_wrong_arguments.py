"""Messages on wrong arguments of recordings, their transforms and their encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from spikemnist.data import EVENT, DropEvents, EventBatch, EventDataset
from spikemnist.encoding import EventEncoder, LatencyEncoder
from spikemnist.training import TrainConfig, fit
from tests.events.cases import of_events
from tests.events.event_recordings import MovingBars, random_events

LABELS = torch.zeros(3).long()
EVENTS = EventBatch.gather([random_events(5, 0, (5, 7))], (5, 7))


def read(recording: object) -> None:
    """Read a recording of a sensor of 4 columns and 3 rows."""
    next(EventDataset([recording], torch.tensor([0]), (3, 4)).batches(1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EventDataset([], LABELS, (3, 4)), "0 recordings but 3 labels"),
        (
            lambda: EventDataset([1], LABELS[:1], (0, 4)),
            "each size of sensor must be an integer >= 1; got 0",
        ),
        (lambda: read(np.array([(0, 0, 3, 1)], EVENT)), "on a sensor of 4 columns and 3 rows"),
        (lambda: read(np.array([(0, -1, 0, 1)], EVENT)), r"\(-1, 0\) to \(-1, 0\)"),
        (lambda: read(np.array([(5, 0, 0, 1), (4, 0, 0, 1)], EVENT)), "has a decreasing time"),
        (lambda: DropEvents(1), "probability must be a number, at least 0 and below 1"),
        (lambda: DropEvents(math.nan), "probability must be a number, at least 0 and below 1"),
        (
            lambda: EventEncoder(4, polarity="x"),
            "polarity must be one of channels, merged; got 'x'",
        ),
        (
            lambda: EventEncoder(4, duration=0),
            r"duration must be an integer >= 1; got 0",
        ),
    ],
)
def test_values(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: read(np.zeros(3)), "recording 0 is float64; expected a NumPy array of dtype"),
        (lambda: read([(0, 0, 0, True)]), "recording 0 is list; expected a NumPy array"),
        (lambda: EventDataset([1], [0], (3, 4)), "labels must be a torch.Tensor .*; got a list"),
        (
            lambda: EventEncoder(3)(torch.zeros(5, 1, 3)),
            r"needs an EventBatch, .* got Tensor\. Use another encoder",
        ),
        (
            lambda: LatencyEncoder(3)(EVENTS),
            "images must be a tensor; got an EventBatch, which needs an EventEncoder",
        ),
    ],
)
def test_types(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


BARS = MovingBars(4).dataset()
BATCH, DIRECTIONS = next(BARS.batches(4))


@pytest.mark.parametrize(
    ("train", "augment", "message"),
    [
        (BARS, ("flip",), "augment needs images, but train is an EventDataset"),
        ([(BATCH, DIRECTIONS)], ("flip",), "images must be .*got a EventBatch"),
        ([([1], DIRECTIONS)], (), "or of recordings and labels; got list, Tensor"),
        ([(BATCH, DIRECTIONS[:2])], (), r"labels must be int64 of shape \[4\], .* shape \(2,\)"),
    ],
)
def test_training_data(train: Any, augment: tuple[str, ...], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fit(of_events(), train, TrainConfig(epochs=1, augment=augment))

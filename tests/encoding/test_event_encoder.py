"""Spikes of events, compared with a loop over events. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.data import EVENT, EventBatch
from spikemnist.encoding import Encoder, EventEncoder, LatencyEncoder, get_encoder
from spikemnist.encoding.registry import describe_encoder
from tests.encoding.encoder_cases import SPIKE_DTYPES
from tests.event_recordings import random_events

if TYPE_CHECKING:
    from torch import Tensor

SENSOR = (5, 7)


@st.composite
def encoders(draw: st.DrawFn) -> EventEncoder:
    by = draw(st.sampled_from(["time", "count"]))
    return EventEncoder(
        num_steps=draw(st.integers(1, 12)),
        by=by,
        duration=draw(st.none() | st.integers(1, 400_000)) if by == "time" else None,
        polarity=draw(st.sampled_from(["channels", "merged"])),
    )


@st.composite
def batches(draw: st.DrawFn) -> EventBatch:
    lengths = draw(st.lists(st.integers(0, 30), min_size=1, max_size=5))
    recordings = [random_events(n, seed=i, sensor=SENSOR) for i, n in enumerate(lengths)]
    for events in recordings:  # clocks start anywhere, and several events may share a time
        events["t"] = events["t"] // draw(st.sampled_from([1, 50_000])) + draw(
            st.integers(0, 10**12)
        )
    return EventBatch.gather(recordings, SENSOR)


def one_by_one(encoder: EventEncoder, batch: EventBatch) -> Tensor:
    channels = 2 if encoder.polarity == "channels" else 1
    steps = encoder.num_steps
    spikes = torch.zeros((steps, len(batch), channels, *SENSOR))
    for b in range(len(batch)):
        events = batch.recording(b)
        for i, (t, x, y, p) in enumerate(events.tolist()):
            begin, end = int(events["t"][0]), int(events["t"][-1])
            if encoder.by == "count":
                step = i * steps // len(events)
            else:
                step = (t - begin) * steps // (encoder.duration or end - begin + 1)
            if step < steps:
                spikes[step, b, int(p) if channels == 2 else 0, y, x] = 1
    return spikes


@given(encoders(), batches(), st.sampled_from(SPIKE_DTYPES))
def test_each_event_falls_into_its_timestep(
    encoder: EventEncoder, batch: EventBatch, dtype: torch.dtype
) -> None:
    spikes = encoder(batch, dtype=dtype)
    assert spikes.dtype == dtype
    assert torch.equal(spikes.float(), one_by_one(encoder, batch))


@given(encoders(), batches())
def test_a_recording_has_the_same_spikes_in_any_batch(
    encoder: EventEncoder, batch: EventBatch
) -> None:
    spikes = encoder(batch)
    for b in range(len(batch)):
        alone = EventBatch.gather([batch.recording(b)], SENSOR)
        assert torch.equal(encoder(alone)[:, 0], spikes[:, b])


def test_the_corners_of_the_sensor_and_of_time() -> None:
    events = np.array([(0, 0, 0, 0), (9, 33, 0, 1), (10, 0, 33, 0), (19, 33, 33, 1)], EVENT)
    batch = EventBatch.gather([events], (34, 34))
    spikes = EventEncoder(num_steps=2)(batch)
    assert spikes[:, 0].nonzero().tolist() == [[0, 0, 0, 0], [0, 1, 0, 33], [1, 0, 33, 0],
                                               [1, 1, 33, 33]]  # fmt: skip
    short = EventEncoder(num_steps=2, duration=10)(batch)
    assert short[:, 0].nonzero().tolist() == [[0, 0, 0, 0], [1, 1, 0, 33]]


def test_it_is_an_encoder() -> None:
    encoder = EventEncoder(num_steps=5, by="count", polarity="merged")
    assert isinstance(encoder, Encoder)
    description = describe_encoder(encoder)
    assert description["name"] == "events"
    assert get_encoder(**description) == encoder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps must be an integer >= 1; got 0"),
        ({"by": "event"}, "by must be 'time' or 'count'; got 'event'"),
        ({"polarity": "both"}, "polarity must be 'channels' or 'merged'; got 'both'"),
        ({"duration": 0}, r"duration must be an integer >= 1 \(microseconds\) or None; got 0"),
        ({"duration": 1.5}, "duration must be an integer"),
        ({"duration": 5, "by": "count"}, "duration has no effect with by='count'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EventEncoder(**{"num_steps": 4, **options})


def test_images_and_events_are_not_interchangeable() -> None:
    with pytest.raises(
        TypeError, match=r"needs an EventBatch, .* got Tensor\. Use another encoder"
    ):
        EventEncoder(num_steps=3)(torch.zeros(2, 28, 28))
    batch = EventBatch.gather([random_events(5, 0, SENSOR)], SENSOR)
    with pytest.raises(
        TypeError, match="images must be a tensor; got an EventBatch, which needs an EventEncoder"
    ):
        LatencyEncoder(num_steps=3)(batch)

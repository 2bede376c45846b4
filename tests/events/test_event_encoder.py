"""Spikes of events, compared with a loop over events. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.data import EVENT, EventBatch
from spikemnist.encoding import EventEncoder
from tests.encoding.encoder_cases import SPIKE_DTYPES
from tests.events.event_recordings import random_events

SENSOR = (5, 7)


@st.composite
def encoders(draw: st.DrawFn) -> EventEncoder:
    return EventEncoder(
        num_steps=draw(st.integers(1, 12)),
        duration=draw(st.none() | st.integers(1, 400_000)),
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
        for t, x, y, p in events.tolist():
            begin, end = int(events["t"][0]), int(events["t"][-1])
            step = (t - begin) * steps // (encoder.duration or end - begin + 1)
            if step < steps:
                spikes[step, b, int(p) if channels == 2 else 0, y, x] = 1
    return spikes


@given(encoders(), batches(), st.sampled_from(SPIKE_DTYPES))
def test_timesteps_of_events(encoder: EventEncoder, batch: EventBatch, dtype: torch.dtype) -> None:
    spikes = encoder(batch, dtype=dtype)
    assert spikes.dtype == dtype
    assert torch.equal(spikes.float(), one_by_one(encoder, batch))


def test_corners_of_the_sensor_and_of_time() -> None:
    events = np.array([(0, 0, 0, 0), (9, 33, 0, 1), (10, 0, 33, 0), (19, 33, 33, 1)], EVENT)
    batch = EventBatch.gather([events], (34, 34))
    spikes = EventEncoder(num_steps=2)(batch)
    assert spikes[:, 0].nonzero().tolist() == [[0, 0, 0, 0], [0, 1, 0, 33], [1, 0, 33, 0],
                                               [1, 1, 33, 33]]  # fmt: skip
    short = EventEncoder(num_steps=2, duration=10)(batch)
    assert short[:, 0].nonzero().tolist() == [[0, 0, 0, 0], [1, 1, 0, 33]]

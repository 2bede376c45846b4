from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from spikemnist import viz
from spikemnist.data import EVENT, EventBatch
from tests.events.event_recordings import random_events
from tests.viz.test_overviews import shown
from tests.viz.viz_records import gif_frames, make_record

SENSOR = (3, 5)
MOVING = np.array(
    [(7_000, 0, 1, True), (7_000, 0, 1, True), (8_500, 1, 1, False), (10_999, 4, 2, True)], EVENT
)


def test_sums_of_events():
    figure = viz.event_frames(MOVING, sensor=SENSOR, num_frames=2)
    first, second, bar = figure.axes
    assert [ax.get_title() for ax in (first, second)] == ["0.0 – 2.0 ms", "2.0 – 4.0 ms"]
    expected = np.zeros((2, *SENSOR))
    expected[0, 1, :2] = 2, -1
    expected[1, 2, 4] = 1
    for ax, frame in zip((first, second), expected, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), frame)
        assert ax.images[0].get_clim() == (-2, 2)
    assert bar.get_ylabel() == "brighter − darker events"


@pytest.mark.parametrize(("frames", "rows"), [(1, 1), (6, 1), (7, 2)])
def test_six_frames_in_a_row(frames, rows):
    events = random_events(200, seed=0)
    figure = viz.event_frames(events, sensor=(34, 34), num_frames=frames)
    axes = [ax for ax in figure.axes if ax.images]
    assert len(axes) == frames
    assert len({ax.get_subplotspec().rowspan.start for ax in axes}) == rows
    assert sum(int(np.abs(ax.images[0].get_array()).sum()) for ax in axes) <= 200


def test_animation(tmp_path):
    animation = viz.animate_events(MOVING, sensor=SENSOR, num_frames=4, interval=50)
    animation.save(tmp_path / "events.gif", writer="pillow", dpi=40)
    frames = gif_frames(tmp_path / "events.gif")
    assert len(frames) == 4
    assert any((a != b).any() for a, b in pairwise(frames))


def test_animations_of_a_sample_with_events(tmp_path):
    events = [random_events(100, seed=0)]
    batch = EventBatch.gather(events, sensor=(34, 34))
    record = make_record(steps=2, inputs=torch.ones(2, 1, 2, 34, 34))
    pictures = viz.of_sample(record, batch, animations=True)
    assert [*pictures][-3:] == ["event_frames", "animation", "event_animation"]
    assert "image" not in shown(pictures["encoding"])
    for name in ("animation", "event_animation"):
        pictures[name].save(tmp_path / "picture.gif", writer="pillow", dpi=20)


def test_a_recording_without_events():
    batch = EventBatch.gather([np.empty(0, EVENT)], sensor=(34, 34))
    pictures = viz.of_sample(torch.zeros(2, 1, 2, 34, 34), batch, animations=True)
    assert [*pictures] == ["encoding"]

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from spikemnist import viz
from spikemnist.encoding import DirectEncoder, LatencyEncoder

IMAGE = (torch.arange(12) * 20).to(torch.uint8).view(1, 3, 4)
LATENCY = LatencyEncoder(num_steps=6)
FIELDS = torch.rand(6, 1, 4, 3, 4).round()  # of a population of four for each pixel


def rows(figure):
    """The three Axes of each row."""
    return np.array(figure.axes).reshape(-1, 3)


def test_one_row_for_each_code():
    spikes = {"latency": LATENCY(IMAGE), "fields": FIELDS}
    decoded = {"latency": LATENCY.decode(spikes["latency"])}
    (picture, raster, counts), (nothing, wide, _) = rows(viz.codes(spikes, reconstructions=decoded))
    assert picture.get_ylabel() == "latency"
    np.testing.assert_array_equal(picture.images[0].get_array(), decoded["latency"][0])
    marks = raster.images[0].get_array()
    np.testing.assert_array_equal(marks, spikes["latency"][:, 0].flatten(1).T)
    assert [bar.get_height() for bar in counts.patches] == spikes["latency"].sum((1, 2, 3)).tolist()
    assert counts.get_title(loc="right") == f"{int(spikes['latency'].sum())} spikes"
    assert not nothing.images
    assert "read back" in nothing.texts[0].get_text()
    assert wide.get_ylim() == (4 * 12 - 0.5, -0.5)
    assert [ax.get_xlabel() for ax in (raster, wide)] == ["", "timestep"]


def test_current():
    direct = DirectEncoder(num_steps=6)
    spikes = {"latency": LATENCY(IMAGE), "direct": direct(IMAGE)}
    decoded = {"direct": direct.decode(spikes["direct"])}
    above, below = rows(viz.codes(spikes, reconstructions=decoded))
    assert below[1].texts[0].get_text() == "a current, not spikes"
    assert not below[1].axison
    assert above[1].get_xlabel() == "timestep"


def test_sample():
    spikes = LATENCY(torch.stack((IMAGE[0] * 0, IMAGE[0])))
    (row,) = rows(viz.codes({"latency": spikes}, sample=1))
    assert row[2].get_title(loc="right") == f"{int(spikes.sum())} spikes"


@pytest.mark.parametrize("steps", [1, 16, 100, 1000])
def test_distance_of_labels_of_time(steps):
    figure = viz.codes({"a code": torch.ones(steps, 1, 4)})
    figure.draw_without_rendering()
    for ax in rows(figure)[0, 1:]:
        low, high = ax.get_xlim()
        labels = [one for one in ax.get_xticklabels() if low <= one.get_position()[0] <= high]
        boxes = [label.get_window_extent() for label in labels]
        assert boxes
        assert all(left.x1 + 2 < right.x0 for left, right in pairwise(boxes))


def test_one_spike():
    ax = rows(viz.codes({"a code": torch.eye(4)[:1, None]}))[0, 2]
    assert ax.get_title(loc="right") == "1 spike"

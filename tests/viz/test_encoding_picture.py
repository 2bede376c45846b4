from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from spikemnist import viz
from tests.viz.viz_records import make_record


def panels(figure):
    """The Axes with a title, by their title."""
    return {ax.get_title(): ax for ax in figure.axes if ax.get_title()}


def picture(ax):
    (image,) = ax.images
    return image.get_array()


def latency_spikes():
    """Pixel i of a 2 x 3 image fires at timestep i; the last one never."""
    spikes = torch.zeros(5, 2, 2, 3)
    for i in range(5):
        spikes[i, 1, i // 3, i % 3] = 1
    return spikes


def test_panels():
    spikes = latency_spikes()
    image = torch.arange(6).to(torch.uint8)
    figure = viz.encoding(spikes, sample=1, image=image)
    bars = {bar.get_ylabel() for ax in figure.axes for bar in ax.child_axes}
    assert bars == {"timestep"}  # no scale of spikes where no pixel fires twice
    axes = panels(figure)
    frames = [f"t = {t}" for t in range(5)]
    assert list(axes) == [
        "image",
        "spikes in 5 timesteps: 0 or 1",
        "first spike (grey: none)",
        *frames,
    ]
    assert picture(axes["image"]).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert picture(axes["spikes in 5 timesteps: 0 or 1"]).tolist() == [[1, 1, 1], [1, 1, 0]]
    first = picture(axes["first spike (grey: none)"])
    assert first.tolist() == [[0, 1, 2], [3, 4, None]]
    for step in range(5):
        np.testing.assert_array_equal(picture(axes[f"t = {step}"]), spikes[step, 1])


def test_flat_digits():
    record = make_record()
    axes = panels(viz.encoding(record, sample=2))
    assert "image" not in axes
    np.testing.assert_array_equal(picture(axes["t = 0"]), record.input[0, 2].reshape(28, 28))
    (bar,) = axes["spikes in 12 timesteps"].child_axes
    assert bar.get_ylabel() == "spikes"


def test_at_most_twelve_timesteps():
    names = [name for name in panels(viz.encoding(torch.ones(100, 1, 16))) if name[0] == "t"]
    steps = [int(name.removeprefix("t = ")) for name in names]
    assert len(steps) == 12
    assert (steps[0], steps[-1]) == (0, 99)
    assert set(np.diff(steps)) == {9}


def test_constant_current():
    """It has neither first spikes nor timesteps that differ."""
    current = torch.rand(1, 1, 16).expand(6, 1, 16)
    figure = viz.encoding(current, image=current[0])
    axes = panels(figure)
    assert list(axes) == ["image", "current, mean over time"]
    mean = picture(axes["current, mean over time"])
    np.testing.assert_allclose(mean, current[0, 0].reshape(4, 4), rtol=1e-5)
    (words,) = [text.get_text() for part in figure.subfigs for text in part.texts]
    assert words == "the same current at each of 6 timesteps"


def test_changing_current():
    current = torch.rand(3, 1, 16)
    frames = [f"t = {t}" for t in range(3)]
    assert list(panels(viz.encoding(current))) == ["current, mean over time", *frames]


def test_silence():
    axes = panels(viz.encoding(torch.zeros(3, 1, 16), image=torch.zeros(16)))
    assert np.ma.count(picture(axes["first spike (grey: none)"])) == 0


def test_given_figure():
    figure = Figure(figsize=(8, 8), layout="constrained")
    part = figure.subfigures(2, 1)[1]
    assert viz.encoding(latency_spikes(), figure=part) is figure
    figure.draw_without_rendering()
    assert panels(figure)
    assert all(ax.get_window_extent().y1 < figure.bbox.height / 2 for ax in figure.axes)


@pytest.mark.parametrize(
    ("shape", "image_shape", "size"),
    [((12,), (3, 4), (3, 4)), ((1, 3, 4), None, (3, 4)), ((2, 3, 4), (6, 4), (6, 4))],
)
def test_image_shape(shape, image_shape, size):
    figure = viz.encoding(torch.ones(2, 1, *shape), image_shape=image_shape)
    assert picture(panels(figure)["t = 0"]).shape == size

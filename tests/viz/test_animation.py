from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from spikemnist import viz
from tests.viz.viz_records import CLASSES, entries, gif_frames, make_record


def test_gif(tmp_path):
    file = tmp_path / "digit.gif"
    animation = viz.animate(make_record(steps=3), label=3, interval=150)
    animation.save(file, writer="pillow", dpi=40)
    with Image.open(file) as gif:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
    assert durations == pytest.approx([150, 150, 600], abs=40)
    frames = gif_frames(file)
    assert len(frames) == 3
    assert all((a != b).any() for a, b in pairwise(frames))


def drawn(animation, step):
    """Return the figure and Axes of the animation after a timestep."""
    animation._draw_frame(step)
    animation._draw_was_started = True  # it has been drawn, though not by the writers
    figure = animation._fig
    return figure, *figure.axes


@pytest.mark.parametrize("step", [0, 4, 11])
def test_frame(step):
    record = make_record()
    leader = int(record.running_predictions[step, 1])
    figure, picture, curves, bars = drawn(viz.animate(record, sample=1, label=2), step)
    now, earlier = record.input[step, 1], record.input[: step + 1, 1].amax(0)
    shown = torch.where(now > 0, 1.0, 0.4 * earlier).view(28, 28)
    np.testing.assert_allclose(picture.images[0].get_array(), shown)
    for index, curve in enumerate(curves.lines):
        assert curve.get_xdata().tolist() == list(range(step + 1))
        np.testing.assert_allclose(curve.get_ydata(), record.membrane[: step + 1, 1, index])
    counts = record.spikes[: step + 1, 1].sum(0)
    assert [bar.get_height() for bar in bars.patches] == counts.tolist()
    assert [i for i, bar in enumerate(bars.patches) if bar.get_hatch()] == [leader]
    first, second = figure.get_suptitle().splitlines()
    assert first == f"t = {step}: class {leader} leads (true class 2)"
    assert second == "by spikes so far"
    assert curves.get_xlabel() == "timestep"
    assert curves.get_ylabel() == "membrane potential of the output"
    assert (bars.get_xlabel(), bars.get_ylabel()) == ("class", "spikes so far")
    assert bars.get_yticks().max() == len(record.spikes)
    order = record.membrane[-1, 1].argsort(descending=True).tolist()
    assert entries(curves) == [f"{i} (true)" if i == 2 else str(i) for i in order]


def test_means_of_a_population():
    """Ten neurons of five classes."""
    record = make_record()
    record = dataclasses.replace(record, scores=record.scores.view(-1, 5, 2).mean(-1))
    figure, _, curves, bars = drawn(viz.animate(record, sample=1, label=2), 4)
    membranes = record.membrane[:5, 1].view(5, 5, 2).mean(-1).T
    np.testing.assert_allclose([curve.get_ydata() for curve in curves.lines], membranes)
    counts = record.spikes[:5, 1].sum(0).view(5, 2).mean(-1)
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(counts.tolist())
    assert figure.get_suptitle().splitlines()[1] == "by spikes so far, mean of 2 neurons"


def test_names_of_classes():
    names = tuple(f"name {index}" for index in range(CLASSES))
    record = dataclasses.replace(make_record(), classes=names)
    figure, _, curves, bars = drawn(viz.animate(record, label=0), 3)
    leader = names[int(record.running_predictions[3, 0])]
    assert figure.get_suptitle().startswith(f"t = 3: class {leader} leads (true class name 0)")
    assert {*entries(curves)} == {"name 0 (true)", *names[1:]}
    assert [tick.get_text() for tick in bars.get_xticklabels()] == [*names]


def test_current():
    current = torch.rand(3, 1, 784)
    _, picture, *_ = drawn(viz.animate(make_record(inputs=current)), 2)
    np.testing.assert_array_equal(picture.images[0].get_array(), current[2, 0].view(28, 28))
    assert picture.get_title() == "input, a current"


def test_limits_of_all_frames():
    animation = viz.animate(make_record())
    first, last = (
        [(ax.axis(), ax.get_position().bounds) for ax in drawn(animation, step)[1:]]
        for step in (0, 11)
    )
    assert first == last


def test_image_shape():
    record = make_record(inputs=torch.ones(3, 1, 12))
    _, picture, *_ = drawn(viz.animate(record, image_shape=(3, 4)), 0)
    assert picture.images[0].get_array().shape == (3, 4)

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from spikemnist import viz
from tests.viz.viz_records import CLASSES, gif_frames, make_record


def test_gif(tmp_path):
    file = tmp_path / "digit.gif"
    animation = viz.animate(make_record(steps=3), label=3, interval=150)
    animation.save(file, writer="pillow", dpi=40)
    with Image.open(file) as gif:
        assert gif.info["duration"] == pytest.approx(150, abs=10)
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
    np.testing.assert_array_equal(picture.images[0].get_array(), record.input[step, 1].view(28, 28))
    for index, curve in enumerate(curves.lines):
        assert curve.get_xdata().tolist() == list(range(step + 1))
        np.testing.assert_allclose(curve.get_ydata(), record.membrane[: step + 1, 1, index])
    counts = record.spikes[: step + 1, 1].sum(0)
    assert [bar.get_height() for bar in bars.patches] == counts.tolist()
    assert [i for i, bar in enumerate(bars.patches) if bar.get_hatch()] == [leader]
    assert figure.get_suptitle() == f"after timestep {step}: class {leader} leads (true class 2)"
    assert (curves.get_xlabel(), curves.get_ylabel()) == ("timestep", "membrane potential")
    assert (bars.get_xlabel(), bars.get_ylabel()) == ("class", "spikes so far")
    names = {text.get_text() for text in curves.texts}
    assert names == {f"{i} (true)" if i == 2 else str(i) for i in range(CLASSES)}


def test_limits_are_the_same_in_all_frames():
    animation = viz.animate(make_record())
    first, last = (
        [(ax.axis(), ax.get_position().bounds) for ax in drawn(animation, step)[1:]]
        for step in (0, 11)
    )
    assert first == last


def test_image_shape():
    record = make_record(inputs=torch.ones(3, 1, 12))
    with pytest.raises(ValueError, match=r"shape \(12,\), which is no picture"):
        viz.animate(record)
    _, picture, *_ = drawn(viz.animate(record, image_shape=(3, 4)), 0)
    assert picture.images[0].get_array().shape == (3, 4)

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.animation import FuncAnimation
from PIL import Image

from spikemnist import viz
from spikemnist.models.readout import running_predictions
from tests.viz.viz_records import CLASSES, make_record


def test_a_gif_has_one_frame_for_each_timestep(tmp_path):
    file = tmp_path / "digit.gif"
    animation = viz.animate(make_record(steps=7), label=3, interval=150)
    assert isinstance(animation, FuncAnimation)
    animation.save(file, writer="pillow")
    with Image.open(file) as gif:
        assert gif.format == "GIF"
        assert gif.n_frames == 7
        assert gif.info["duration"] == pytest.approx(150, abs=10)
        frames = []
        for index in range(7):
            gif.seek(index)
            frames.append(np.asarray(gif.convert("L")))
    assert all((a != b).any() for a, b in pairwise(frames))


def test_html_holds_every_frame():
    page = viz.animate(make_record(steps=5)).to_jshtml()
    assert len(re.findall(r'frames\[\d+\] = "data:image/png', page)) == 5


def drawn(animation, step):
    """The Axes of the animation after a timestep."""
    animation._draw_frame(step)
    animation._draw_was_started = True  # it has been drawn, though not by the writers
    figure = animation._fig
    return figure, *figure.axes


@pytest.mark.parametrize("step", [0, 4, 11])
def test_what_a_frame_shows(step):
    record = make_record()
    leader = int(running_predictions(record)[step, 1])
    figure, picture, curves, bars = drawn(viz.animate(record, sample=1, label=2), step)
    np.testing.assert_array_equal(picture.images[0].get_array(), record.input[step, 1].view(28, 28))
    for index, curve in enumerate(curves.lines):
        assert curve.get_xdata().tolist() == list(range(step + 1))
        np.testing.assert_allclose(curve.get_ydata(), record.membrane[: step + 1, 1, index])
    counts = record.spikes[: step + 1, 1].sum(0)
    assert [bar.get_height() for bar in bars.patches] == counts.tolist()
    assert [i for i, bar in enumerate(bars.patches) if bar.get_hatch()] == [leader]
    assert figure.get_suptitle() == f"after timestep {step}: class {leader} leads (true class 2)"
    names = {text.get_text() for text in curves.texts}
    assert names == {f"{i} (true)" if i == 2 else str(i) for i in range(CLASSES)}


def test_limits_do_not_move_while_it_plays():
    animation = viz.animate(make_record())
    first = [
        (ax.get_xlim(), ax.get_ylim(), ax.get_position().bounds) for ax in drawn(animation, 0)[1:]
    ]
    last = [
        (ax.get_xlim(), ax.get_ylim(), ax.get_position().bounds) for ax in drawn(animation, 11)[1:]
    ]
    assert first == last


def test_axes_are_labelled():
    _, _, curves, bars = drawn(viz.animate(make_record()), 0)
    assert (curves.get_xlabel(), curves.get_ylabel()) == ("timestep", "membrane potential")
    assert (bars.get_xlabel(), bars.get_ylabel()) == ("class", "spikes so far")


def test_one_timestep(tmp_path):
    viz.animate(make_record(steps=1)).save(tmp_path / "one.gif", writer="pillow")
    with Image.open(tmp_path / "one.gif") as gif:
        assert gif.n_frames == 1


def test_a_record_without_input():
    with pytest.raises(ValueError, match=r"model\(spikes, record='all'\)"):
        viz.animate(make_record(everything=False))


def test_an_input_that_is_not_square():
    record = make_record(inputs=torch.ones(3, 1, 12))
    with pytest.raises(ValueError, match="12 values is not a square"):
        viz.animate(record)
    viz.animate(record, image_shape=(3, 4)).to_jshtml()

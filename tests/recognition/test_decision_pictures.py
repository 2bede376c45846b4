from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch

from spikemnist import viz
from spikemnist.models.readout import READOUTS
from spikemnist.viz import _style
from tests.viz.viz_records import CLASSES, T, coloured, entries, make_record, texts, title


def record_of(membrane, readout):
    """Return a record of these membranes [T, B, C], without spikes."""
    spikes = torch.zeros_like(membrane)
    changes = {"spikes": spikes, "membrane": membrane, "scores": readout(spikes, membrane)}
    return dataclasses.replace(make_record(everything=False), **changes, readout=readout)


@pytest.mark.parametrize("draw", [viz.spike_counts, viz.decision])
def test_unknown_label(draw):
    with pytest.raises(ValueError, match=r"label must be an integer in 0\.\.9; got 10"):
        draw(make_record(), label=10)


def test_one_timestep():
    (ax,) = viz.decision(make_record(steps=1)).axes
    assert [curve.get_marker() for curve in ax.lines] == ["o"] * CLASSES
    assert ax.get_xlim() == (-0.5, 0.5)


def test_heights_of_bars():
    record = make_record()
    ax = viz.spike_counts(record, sample=1).axes[0]
    assert [bar.get_height() for bar in ax.patches] == record.spikes[:, 1].sum(0).tolist()
    assert [round(bar.get_center()[0]) for bar in ax.patches] == list(range(CLASSES))
    assert ax.get_xlabel() == "class"
    assert ax.get_ylabel() == f"spikes in {T} timesteps"
    assert (ax.get_yticks()[0], ax.get_yticks()[-1]) == (0, T)  # all that are possible
    assert title(ax) == "output spikes, sample 1 (readout spike_count)"


def test_marks_of_predicted_and_true_class():
    record = make_record()
    predicted = int(record.predictions[0])
    label = (predicted + 1) % CLASSES
    ax = viz.spike_counts(record, label=torch.tensor(label)).axes[0]
    assert [i for i, bar in enumerate(ax.patches) if bar.get_hatch()] == [predicted]
    assert coloured(ax.patches, _style.SKY) == [predicted]
    assert max(range(CLASSES), key=lambda i: ax.patches[i].get_linewidth()) == label
    names = {index: text.get_text() for index, text in enumerate(ax.texts) if text.get_text()}
    assert names == {predicted: "predicted", label: "true"}
    assert texts(viz.spike_counts(record, label=predicted).axes[0]) == ["predicted\ntrue"]


def test_mark_of_the_readout():
    record = make_record()
    scores = torch.zeros_like(record.scores)
    scores[0, int(record.spikes[:, 0].sum(0).argmin())] = 1.0
    record = dataclasses.replace(record, scores=scores, readout=READOUTS["max_membrane"])
    ax = viz.spike_counts(record).axes[0]
    (hatched,) = [bar for bar in ax.patches if bar.get_hatch()]
    assert hatched.get_height() == min(bar.get_height() for bar in ax.patches)


def test_silent_output():
    ax = viz.spike_counts(make_record(gain=0.0)).axes[0]
    assert "no output neuron fired" in texts(ax)
    assert ax.get_ylim()[1] > 1


@pytest.mark.parametrize("readout", READOUTS)
def test_strip_of_leading_classes(readout):
    record = make_record(readout=readout)
    ax = viz.decision(record, sample=1).axes[0]
    (strip,) = ax.child_axes
    leaders = []
    for span, text in zip(strip.patches, strip.texts, strict=True):
        start, width = span.get_x(), span.get_width()
        assert start == len(leaders) - 0.5
        leaders += [int(text.get_text())] * round(width)
        assert strip.get_xlim()[0] <= text.get_position()[0] <= strip.get_xlim()[1]
        assert coloured([span], _style.class_colour(leaders[-1])) == [0]
    assert leaders == record.running_predictions[:, 1].tolist()
    assert leaders[-1] == int(record.predictions[1])


def test_short_lead():
    membrane = torch.zeros(100, 1, 3)
    membrane[0, 0] = torch.tensor([0.0, 1.0, 0.5])
    membrane[1:, 0, 2] = 2.0
    (strip,) = viz.decision(record_of(membrane, READOUTS["max_membrane"])).axes[0].child_axes
    assert [bar.get_width() for bar in strip.patches] == [1, 99]
    assert texts(strip) == ["2"]


def test_running_scores():
    record = make_record(readout="spike_count")
    ax = viz.decision(record).axes[0]
    for index, curve in enumerate(ax.lines):
        expected = record.spikes[:, 0, index].cumsum(0)
        assert curve.get_xdata().tolist() == list(range(T))
        assert curve.get_ydata().tolist() == expected.tolist()
    assert ax.get_xlabel() == "timestep"
    assert ax.get_ylabel() == "spikes so far"
    looks = {(curve.get_color(), str(curve._unscaled_dash_pattern)) for curve in ax.lines}
    assert len(looks) == CLASSES


def test_means_of_a_population():
    """Ten neurons of five classes."""
    record = make_record()
    pairs_of = record.spikes[:, 1].view(T, 5, 2).mean(-1)
    record = dataclasses.replace(record, scores=record.scores.view(-1, 5, 2).mean(-1))
    ax = viz.spike_counts(record, sample=1).axes[0]
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx(pairs_of.sum(0).tolist())
    assert ax.get_ylabel() == f"spikes in {T} timesteps,\nmean of 2 neurons"
    ax = viz.decision(record, sample=1).axes[0]
    expected = pairs_of.cumsum(0).T.tolist()
    assert [curve.get_ydata().tolist() for curve in ax.lines] == expected
    assert ax.get_ylabel() == "spikes so far,\nmean of 2 neurons"


def test_labels_of_predicted_and_true_class():
    record = make_record()
    predicted = int(record.predictions[2])
    label = (predicted + 3) % CLASSES
    ax = viz.decision(record, sample=2, label=label).axes[0]
    assert {f"{predicted} (predicted)", f"{label} (true)"} <= {*entries(ax)}
    assert title(ax) == f"predicted class {predicted}, true class {label}, sample 2"
    assert [i for i, curve in enumerate(ax.lines) if curve.get_marker() == "o"] == [label]
    both = viz.decision(record, sample=2, label=predicted).axes[0]
    assert f"{predicted} (predicted, true)" in entries(both)


def test_names_of_classes():
    names = tuple(f"name {index}" for index in range(CLASSES))
    record = dataclasses.replace(make_record(), classes=names)
    predicted = names[int(record.predictions[0])]
    ax = viz.decision(record, label=0).axes[0]
    assert title(ax) == f"predicted class {predicted}, true class name 0, sample 0"
    assert ax.get_legend().get_title().get_text() == "class"
    assert {text.split(" (")[0] for text in entries(ax)} == {*names}
    assert texts(ax.child_axes[0])[-1] == predicted
    ticks = viz.spike_counts(record).axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == [*names]


@pytest.mark.parametrize("classes", [CLASSES, 62])
def test_legend_in_the_order_of_the_final_scores(classes):
    membrane = torch.arange(1.0, 1 + classes).expand(T, 1, classes)
    figure = viz.decision(record_of(membrane, READOUTS["mean_membrane"]))
    (ax,) = figure.axes
    highest = [*range(classes)][::-1][: 16 if classes > 32 else None]
    assert [int(text.split()[0]) for text in entries(ax)] == highest
    heading = ax.get_legend().get_title().get_text()
    assert heading == ("class: 16 of 62" if classes > 32 else "class")
    figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    assert ax.get_window_extent().x1 <= box.x0
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1


def test_leader_of_a_silent_output():
    ax = viz.decision(make_record(gain=0.0, readout="first_spike")).axes[0]
    assert any("highest mean membrane" in text for text in texts(ax))
    ax = viz.decision(make_record(gain=0.0, readout="mean_membrane")).axes[0]
    assert not any("highest mean membrane" in text for text in texts(ax))


def test_nan_membranes():
    record = make_record(readout="max_membrane")
    membrane = record.membrane.clone()
    membrane[4:, :, 2] = torch.nan
    figure = viz.decision(dataclasses.replace(record, membrane=membrane))
    figure.draw_without_rendering()


def test_pictures_of_a_sample():
    record, images = make_record(), torch.rand(3, 28, 28)
    pictures = viz.of_sample(record, images, sample=1, label=3)
    assert [*pictures] == ["encoding", "decision", "raster", "membrane", "spike_counts"]
    above, _, below = (title(ax) or ax.get_title() for ax in pictures["decision"].axes)
    assert above == "what the network sees"
    assert below == title(viz.decision(record, sample=1, label=3).axes[0])
    expected = viz.spike_counts(record, sample=1, label=3)
    assert title(pictures["spike_counts"].axes[0]) == title(expected.axes[0])


def test_the_rows_of_a_decision():
    """Ten rows of equal height, class 0 on top, above the score of each class."""
    figure = viz.of_sample(make_record(), names=["decision"])["decision"]
    figure.draw_without_rendering()
    membranes, _ = figure.axes
    assert [text.get_text() for text in membranes.get_yticklabels()] == list("0123456789")
    heights = [membranes.transData.transform((0, y))[1] for y in membranes.get_yticks()]
    rows = [above - below for above, below in pairwise(heights)]
    assert rows == pytest.approx([rows[0]] * 9)
    assert rows[0] / figure.dpi * 420 / figure.get_figwidth() > 20  # pixels, 420 pixels wide


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 28, 28)])
def test_a_colour_above_the_decision(shape):
    image = torch.randint(256, (1, *shape), dtype=torch.uint8)
    figure = viz.of_sample(make_record(), image, names=["decision"])["decision"]
    actual = figure.axes[0].images[0].get_array()
    assert np.array_equal(actual.reshape(28, 28, -1), image[0].movedim(0, -1))


def test_decision_on_a_vector():
    vectors = torch.rand(3, 40)
    figure = viz.of_sample(make_record(), vectors, sample=1, names=["decision"])["decision"]
    assert figure.axes[0].images[0].get_array().shape == (1, 40)

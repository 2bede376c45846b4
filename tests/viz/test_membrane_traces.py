from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color

from spikemnist import viz
from spikemnist.models import LeakyMLP
from spikemnist.ops import leaky
from spikemnist.viz import _style
from tests.viz.viz_records import CLASSES, HIDDEN, T, line, make_record, texts, title


def rows(ax, label):
    """The lines with that label, from the top row down."""
    return [curve for curve in ax.lines if curve.get_label().lstrip("_").startswith(label)]


def thresholds(ax):
    """Height of the threshold in each row."""
    return np.array([curve.get_ydata()[0] for curve in rows(ax, "threshold")])


def zeros(ax):
    """Height of zero in each row: the lower edge of the strip below the threshold."""
    strips = [patch for patch in ax.patches if same_color(patch.get_facecolor()[:3], _style.ORANGE)]
    corners = [s.get_patch_transform().transform(s.get_path().vertices) for s in strips]
    return np.array([places[:, 1].max() for places in corners])


def membranes(ax, limits):
    """The membrane of each row, read from zero and the threshold, which is at the limit."""
    zero, one = zeros(ax), thresholds(ax)
    return [
        (trace.get_ydata() - zero[row]) / (one[row] - zero[row]) * float(limits[row])
        for row, trace in enumerate(rows(ax, "membrane"))
    ]


def names(ax) -> list[str]:
    ax.figure.canvas.draw()
    return [text.get_text() for text in ax.get_yticklabels()]


def test_traces():
    """Each row shows the membrane on a scale of its own, given by zero and the threshold."""
    record = make_record()
    ax = viz.membrane(record, sample=1).axes[0]
    assert names(ax) == [str(i) for i in range(CLASSES)]
    actual = membranes(ax, [1] * CLASSES)
    np.testing.assert_allclose(actual, record.membrane[:, 1].T, rtol=1e-4, atol=1e-4)
    for trace in rows(ax, "membrane"):
        assert trace.get_xdata().tolist() == list(range(T))
    assert ax.get_xlabel() == "timestep"
    assert ax.get_ylabel() == "output neuron"
    assert title(ax) == "membrane potential, output, sample 1"


def test_rows_of_equal_height():
    """Neuron k fills the row about k, the first on top."""
    for layer in (0, -1):
        ax = viz.membrane(make_record(), layer=layer).axes[0]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]
        for row, trace in enumerate(rows(ax, "membrane")):
            heights = [*trace.get_ydata(), zeros(ax)[row], thresholds(ax)[row]]
            assert min(heights) == pytest.approx(row - 0.4, abs=1e-4)
            assert max(heights) == pytest.approx(row + 0.4, abs=1e-4)


def test_thresholds():
    values = torch.linspace(0.5, 2.0, HIDDEN)
    record = make_record(hidden_threshold=values)
    ax = viz.membrane(record, layer="hidden 1", neurons=[3, 14, 0]).axes[0]
    assert all(curve.is_dashed() for curve in rows(ax, "threshold"))
    assert rows(ax, "threshold")[0].get_label() == "threshold (0.5 to 2), shaded from zero"
    assert names(ax) == ["3", "14", "0"]
    expected = record.layers[0].membrane[:, 0, [3, 14, 0]].T
    np.testing.assert_allclose(membranes(ax, values[[3, 14, 0]]), expected, atol=1e-4)


def test_marks_of_spikes():
    record = make_record()
    ax = viz.membrane(record).axes[0]
    marks = line(ax, "spike")
    assert len(marks.get_xdata()) == int(record.spikes[:, 0].sum()) > 0
    marked = set()
    for time, height in zip(marks.get_xdata(), marks.get_ydata(), strict=True):
        row = round(height)
        assert rows(ax, "membrane")[row].get_ydata()[int(time)] == pytest.approx(height)
        assert height <= thresholds(ax)[row]  # the axis points down
        marked.add((int(time), row))
    assert marked == set(map(tuple, record.spikes[:, 0].nonzero().tolist()))


def test_extremes():
    record = make_record()
    membrane = record.membrane[:, 0]
    furthest = membrane.gather(0, membrane.abs().argmax(0)[None])[0]
    header, *numbers, _ = texts(viz.membrane(record).axes[0])
    assert header == "furthest\nfrom 0"
    assert numbers == [f"{value:.3g}" for value in furthest.tolist()]


@pytest.mark.parametrize(
    ("reset", "expected"),
    [("subtract", "subtracts the threshold, not all"), ("zero", "is 0"), ("none", "as it is")],
)
def test_caption_of_scale_and_reset(reset, expected):
    record = LeakyMLP(hidden=5, reset_mechanism=reset)(make_record().input, record="all")
    figure = viz.membrane(record)
    caption = texts(figure.axes[0])[-1]
    assert "Each row has its own scale" in caption
    assert expected in caption
    figure.draw_without_rendering()
    box = figure.axes[0].texts[-1].get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 < box.y1 < figure.axes[0].xaxis.label.get_window_extent().y0


def test_neurons_from_silent_to_busy():
    """One for each number of spikes, the one whose highest membrane is nearest to threshold."""
    record = make_record()
    membrane = torch.rand(T, 1, 40, generator=torch.Generator().manual_seed(0)) * 3 - 1
    spikes = torch.zeros(T, 1, 40)
    for neuron in range(40):
        spikes[: neuron % 4, 0, neuron] = 1
    layer = dataclasses.replace(record.layers[0], spikes=spikes, membrane=membrane)
    record = dataclasses.replace(record, layers=(layer, record.layers[1]))
    ax = viz.membrane(record, layer=0).axes[0]
    neurons = [int(name) for name in names(ax)]
    assert [int(spikes[:, 0, neuron].sum()) for neuron in neurons] == [0, 1, 2, 3]
    for count, neuron in enumerate(neurons):
        distance = (membrane[:, 0].amax(0) - 1).abs()
        assert distance[neuron] == distance[count::4].min()
    assert title(ax) == "membrane potential, hidden 1: 4 of 40 neurons, sample 0"


def test_unknown_threshold():
    ax = viz.membrane(make_record(everything=False)).axes[0]
    assert rows(ax, "threshold") == []
    assert len(rows(ax, "membrane")) == CLASSES


def test_thresholds_of_feature_maps():
    limits = torch.tensor([0.5, 1.0, 1.5]).view(3, 1, 1)
    spikes, membrane = leaky(torch.rand(6, 2, 3, 2, 2), 0.9, limits)
    record = make_record()
    layer = dataclasses.replace(
        record.layers[0], name="conv 1", spikes=spikes, membrane=membrane, threshold=limits
    )
    record = dataclasses.replace(record, layers=(layer, record.layers[1]))
    ax = viz.membrane(record, layer="conv 1", neurons=[0, 4, 11]).axes[0]
    assert rows(ax, "threshold")[0].get_label().startswith("threshold (0.5 to 1.5)")
    expected = membrane[:, 0].flatten(1)[:, [0, 4, 11]].T
    np.testing.assert_allclose(membranes(ax, limits.flatten()), expected, atol=1e-4)


def test_nan_and_infinite_membranes():
    record = make_record(everything=False)
    membrane = record.membrane.clone()
    membrane[3:, :, 2] = torch.nan
    membrane[5:, :, 4] = torch.inf
    ax = viz.membrane(dataclasses.replace(record, membrane=membrane)).axes[0]
    ax.figure.canvas.draw()
    assert np.isfinite(ax.get_ylim()).all()


def test_flat_traces():
    zero = torch.zeros(4, 1, 2)
    record = make_record(everything=False)
    ax = viz.membrane(dataclasses.replace(record, spikes=zero, membrane=zero)).axes[0]
    first, second = rows(ax, "membrane")
    assert first.get_ydata()[0] < second.get_ydata()[0]

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from spikemnist import viz
from tests.viz.viz_records import CLASSES, HIDDEN, T, leaky, line, make_record, title


def rows(ax, label):
    """The lines with that label, from the top band down."""
    return [curve for curve in ax.lines if curve.get_label().lstrip("_").startswith(label)]


def zeros(ax):
    return np.array([curve.get_ydata()[0] for curve in rows(ax, "zero")])


def names(ax) -> list[str]:
    ax.get_figure().canvas.draw()
    return [text.get_text() for text in ax.get_yticklabels()]


def test_traces():
    record = make_record()
    ax = viz.membrane(record, sample=1)
    assert names(ax) == [str(i) for i in range(CLASSES)]
    for index, (trace, zero) in enumerate(zip(rows(ax, "membrane"), zeros(ax), strict=True)):
        expected = record.membrane[:, 1, index].numpy()
        np.testing.assert_allclose(trace.get_ydata() - zero, expected, atol=1e-4)
        assert trace.get_xdata().tolist() == list(range(T))
    assert (np.diff(zeros(ax)) < 0).all()  # class 0 on top
    assert ax.get_xlabel() == "timestep"
    assert ax.get_ylabel() == "output neuron: membrane potential"
    assert title(ax) == "output, sample 1"


def test_thresholds():
    thresholds = torch.linspace(0.5, 2.0, HIDDEN)
    record = make_record(hidden_threshold=thresholds)
    ax = viz.membrane(record, layer="hidden 1", neurons=[3, 14, 0])
    heights = np.array([curve.get_ydata()[0] for curve in rows(ax, "threshold")])
    np.testing.assert_allclose(heights - zeros(ax), thresholds[[3, 14, 0]], atol=1e-4)
    assert all(curve.is_dashed() for curve in rows(ax, "threshold"))
    assert rows(ax, "threshold")[0].get_label() == "threshold (0.5 to 2)"
    assert names(ax) == ["3", "14", "0"]


def test_marks_of_spikes():
    record = make_record()
    ax = viz.membrane(record)
    marks = line(ax, "spike")
    assert len(marks.get_xdata()) == int(record.spikes[:, 0].sum()) > 0
    marked = set()
    for time, height in zip(marks.get_xdata(), marks.get_ydata(), strict=True):
        owner = [
            i
            for i, trace in enumerate(rows(ax, "membrane"))
            if trace.get_ydata()[int(time)] == pytest.approx(height)
        ]
        assert len(owner) == 1
        assert record.spikes[int(time), 0, owner[0]] == 1
        assert height >= rows(ax, "threshold")[owner[0]].get_ydata()[0]
        marked.add((int(time), owner[0]))
    assert marked == set(map(tuple, record.spikes[:, 0].nonzero().tolist()))


def test_bands_do_not_overlap():
    ax = viz.membrane(make_record(), layer=0)
    traces, limits = rows(ax, "membrane"), rows(ax, "threshold")
    low = [min(t.get_ydata().min(), z) for t, z in zip(traces, zeros(ax), strict=True)]
    high = [max(t.get_ydata().max(), h.get_ydata()[0]) for t, h in zip(traces, limits, strict=True)]
    assert all(above > below for above, below in zip(low[:-1], high[1:], strict=True))
    assert ax.get_ylim()[0] < low[-1]
    assert high[0] < ax.get_ylim()[1]


def test_ten_most_active_neurons():
    record = make_record()
    counts = record.layers[0].spikes[:, 0].sum(0)
    neurons = [int(name) for name in names(viz.membrane(record, layer="hidden 1"))]
    assert len(neurons) == 10
    assert neurons == sorted(neurons)
    others = [i for i in range(HIDDEN) if i not in neurons]
    assert counts[neurons].min() >= counts[others].max()


def test_silent_neurons_are_ranked_by_membrane():
    record = make_record(gain=0.0)
    membrane = torch.arange(12.0).flip(0).expand(T, 1, 12) / 100
    record = dataclasses.replace(
        record, spikes=torch.zeros(T, 1, 12), membrane=membrane, layers=(), input=None
    )
    assert names(viz.membrane(record)) == [str(i) for i in range(10)]


def test_unknown_threshold():
    ax = viz.membrane(make_record(everything=False))
    assert rows(ax, "threshold") == []
    assert len(rows(ax, "membrane")) == CLASSES


def test_thresholds_of_feature_maps():
    spikes, membrane = leaky(torch.rand(6, 2, 3, 2, 2), torch.tensor([0.5, 1.0, 1.5]).view(3, 1, 1))
    record = make_record()
    layer = dataclasses.replace(
        record.layers[0],
        name="conv 1",
        spikes=spikes,
        membrane=membrane,
        threshold=torch.tensor([0.5, 1.0, 1.5]).view(3, 1, 1),
    )
    record = dataclasses.replace(record, layers=(layer, record.layers[1]))
    ax = viz.membrane(record, layer="conv 1", neurons=[0, 4, 11])
    heights = np.array([curve.get_ydata()[0] for curve in rows(ax, "threshold")])
    np.testing.assert_allclose(heights - zeros(ax), [0.5, 1.0, 1.5], atol=1e-5)


def test_length_of_the_scale_bar():
    ax = viz.membrane(make_record())
    (length,) = [text for text in ax.texts if text.get_text()]
    (bar,) = [text for text in ax.texts if not text.get_text()]
    assert bar.xyann[1] - bar.xy[1] == pytest.approx(float(length.get_text()))


def test_nan_and_infinite_membranes():
    record = make_record(everything=False)
    membrane = record.membrane.clone()
    membrane[3:, :, 2] = torch.nan
    membrane[5:, :, 4] = torch.inf
    ax = viz.membrane(dataclasses.replace(record, membrane=membrane))
    ax.get_figure().canvas.draw()
    assert np.isfinite(ax.get_ylim()).all()


def test_flat_traces():
    zero = torch.zeros(4, 1, 2)
    record = make_record(everything=False)
    ax = viz.membrane(dataclasses.replace(record, spikes=zero, membrane=zero))
    assert zeros(ax)[0] > zeros(ax)[1]


def test_the_input_has_no_membrane():
    with pytest.raises(ValueError, match=r"raster\(record, layer='input'\)"):
        viz.membrane(make_record(), layer="input")

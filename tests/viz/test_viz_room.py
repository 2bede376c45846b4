"""Laws of every picture: no pyplot, no changed rcParams, given Axes used, any tensor."""

from __future__ import annotations

import dataclasses
import sys

import matplotlib as mpl
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from spikemnist import viz
from spikemnist.training.metrics import EpochMetrics, History
from spikemnist.viz import _style
from tests.rooms import of_rooms
from tests.viz.viz_records import CLASSES, make_evaluation, make_record, title

OF_RECORDS = ("raster", "membrane", *of_rooms("OF_RECORDS"))
OF_DATA = {
    "training_curves": History([EpochMetrics(1, 0.5, 0.8, 0.4, 0.9, 1e-3, 40.0)], best_epoch=1),
    "confusion": make_evaluation(torch.eye(4).long()),
    "receptive_fields": torch.randn(5, 784),
    **dict(of_rooms("OF_DATA")),
}


RECORD, OUTPUT = make_record(), make_record(everything=False)
FLAT = make_record(inputs=torch.ones(3, 1, 12))
LAYERS = "'input', 'hidden 1', 'output', or an index from -2 to 1"
NO_PICTURE = r", which is no picture; pass image_shape=\(height"
OF_DIGITS = r"\[N, 784\] for image_shape=\(28, 28\), got shape"
NO_LAYER = "MaxPool2d has no torch.nn.Linear and no torch.nn.Conv"


def draw_all(record):
    """Return every picture by the name of its function."""
    return {
        **{name: getattr(viz, name)(record) for name in (*OF_RECORDS, "encoding", "animate")},
        **{name: getattr(viz, name)(data) for name, data in OF_DATA.items()},
        "of_run": viz.of_run(history=OF_DATA["training_curves"])["training"],
        "of_sample": viz.of_sample(record, names=["raster"])["raster"],
        "codes": viz.codes({"rate": record.input}),
        **{name: draw() for name, draw in of_rooms("PICTURES")},
    }


def test_pyplot_and_rc_params(monkeypatch):
    before = dict(mpl.rcParams)
    with torch.inference_mode():
        record = make_record(steps=2)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it is an error
        patch.delattr(mpl, "pyplot", raising=False)
        pictures = draw_all(record)
        assert set(pictures) == set(viz.__all__)
        for name, picture in pictures.items():
            if name.startswith("animate"):
                picture._fig.set_dpi(20)
                assert "<img" in picture.to_jshtml()
            else:
                assert isinstance(picture, Figure)
                picture.draw_without_rendering()
    assert dict(mpl.rcParams) == before


def test_colours_of_another_style():
    with mpl.rc_context({"axes.prop_cycle": mpl.cycler(color=["white"])}):
        ax = viz.membrane(make_record()).axes[0]
    assert ax.lines[0].get_color() != "white"


def test_looks_of_classes():
    looks = {str(_style.class_look(i)) for i in range(28)}
    assert len(looks) == 28


@pytest.mark.parametrize("name", [*OF_RECORDS, "confusion", "receptive_fields"])
def test_given_axes(name):
    figure = Figure()
    ax = figure.subfigures(1, 2)[1].add_subplot()
    assert getattr(viz, name)(OF_DATA.get(name, make_record()), ax=ax) is figure
    figure.draw_without_rendering()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.float16])
def test_any_floating_dtype_with_a_gradient(dtype):
    record = make_record(everything=False)
    record = dataclasses.replace(
        record,
        spikes=record.spikes.to(dtype).requires_grad_(),
        membrane=record.membrane.to(dtype).requires_grad_(),
        scores=record.scores.to(dtype).requires_grad_(),
    )
    for name in OF_RECORDS:
        getattr(viz, name)(record)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_any_spike_dtype(dtype):
    spikes = make_record().input
    ax = viz.raster(spikes.to(dtype)).axes[0]
    assert title(ax).startswith(f"{int(spikes[:, 0].sum())} spikes")
    viz.encoding(spikes.to(dtype))


def test_one_timestep():
    (ax,) = viz.membrane(make_record(steps=1)).axes
    curves = [line for line in ax.lines if line.get_label().lstrip("_").startswith("membrane")]
    assert [curve.get_marker() for curve in curves] == ["o"] * CLASSES
    assert ax.get_xlim() == (-0.5, 0.5)


@pytest.mark.parametrize("name", [*OF_RECORDS, "encoding", "animate"])
def test_sample_beyond_the_batch(name):
    with pytest.raises(IndexError, match="sample must be below 3, the size of the batch; got 3"):
        getattr(viz, name)(make_record(), sample=3)


@pytest.mark.parametrize(
    ("name", "data", "options", "message"),
    [
        ("animate", RECORD, {"label": 10}, r"label must be an integer in 0\.\.9; got 10"),
        ("encoding", OUTPUT, {}, r"holds no input.*model\(spikes, record='all'\)"),
        ("animate", OUTPUT, {}, r"holds no input.*model\(spikes, record='all'\)"),
        ("raster", OUTPUT, {"layer": 0}, r"0 was not recorded.*record='all'"),
        ("raster", RECORD, {"layer": "hidden 2"}, LAYERS),
        ("raster", RECORD, {"layer": 2}, LAYERS),
        ("raster", RECORD, {"layer": -3}, LAYERS),
        ("raster", torch.ones(3, 4), {"layer": "output"}, "layer='output' needs a Record"),
        ("membrane", RECORD, {"layer": "input"}, r"raster\(record, layer='input'\)"),
        ("encoding", torch.ones(2, 1, 12), {}, NO_PICTURE),
        ("encoding", torch.ones(2, 1, 2, 34, 34), {}, NO_PICTURE),
        ("animate", FLAT, {}, r"shape \(12,\), which is no picture"),
        ("receptive_fields", torch.zeros(784), {}, OF_DIGITS),
        ("receptive_fields", torch.zeros(5, 100), {}, OF_DIGITS),
        ("receptive_fields", torch.zeros(2, 28, 28), {}, OF_DIGITS),
        ("receptive_fields", nn.MaxPool2d(2), {}, NO_LAYER),
        ("training_curves", History(), {}, "no finished epoch"),
        *of_rooms("NO_PICTURES"),
    ],
)
def test_wrong_arguments(name, data, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(viz, name)(data, **options)

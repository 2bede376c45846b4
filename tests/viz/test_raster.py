from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikemnist import viz
from tests.viz.viz_records import CLASSES, make_record, texts, title


def points(ax) -> set[tuple[int, int]]:
    """The timestep and the height of each mark, if no two neurons share a pixel."""
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    neurons, steps = image.get_array().shape
    assert (left, right, bottom, top) == (-0.5, steps - 0.5, neurons - 0.5, -0.5)
    heights, times = np.nonzero(image.get_array())
    return set(zip(times.tolist(), heights.tolist(), strict=True))


@settings(max_examples=20)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 3), st.integers(1, 40)),
    seed=st.integers(0, 1000),
    density=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_marks(shape, seed, density):
    spikes = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < density
    sample = shape[1] - 1
    ax = viz.raster(spikes, sample=sample).axes[0]
    assert points(ax) == {(t, n) for t, n in spikes[:, sample].nonzero().tolist()}
    assert ax.get_xlim() == (-0.5, shape[0] - 0.5)
    assert ax.get_ylim() == (shape[2] - 0.5, -0.5)  # neuron 0 on top


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        *((layer, "output") for layer in (None, "output", 1, -1)),
        *((layer, "hidden 1") for layer in ("hidden 1", 0, -2)),
        ("input", "input"),
    ],
)
def test_layers(layer, name):
    random = torch.Generator().manual_seed(0)
    inputs = (torch.rand(12, 2, 14, 14, generator=random) < 0.2).to(torch.uint8)
    record = make_record(inputs=inputs)
    hidden, output = (layer.spikes for layer in record.layers)
    spikes = {"input": inputs.flatten(2), "hidden 1": hidden, "output": output}[name][:, 1]
    ax = viz.raster(record, layer=layer, sample=1).axes[0]
    assert points(ax) == {(t, n) for t, n in spikes.nonzero().tolist()} != set()
    assert ax.get_ylim() == (spikes.shape[1] - 0.5, -0.5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("timestep", f"{name} neuron")
    assert title(ax).startswith(f"{name}: {int(spikes.sum())} spikes")


def test_record_of_the_output_layer():
    record = make_record(everything=False)
    for layer in ("output", -1):
        assert points(viz.raster(record, layer=layer).axes[0]) == points(viz.raster(record).axes[0])


def test_no_spikes():
    ax = viz.raster(torch.zeros(3, 4)).axes[0]
    assert texts(ax) == ["no spikes"]
    assert title(ax) == "0 spikes, 0 of 4 neurons fired"


def test_ten_neurons():
    ax = viz.raster(make_record()).axes[0]
    ax.figure.canvas.draw()
    ticks = [tick for tick in ax.get_yticks() if -0.5 <= tick <= CLASSES - 0.5]
    assert ticks == list(range(CLASSES))


def test_order_of_many_hidden_neurons():
    """By falling number of spikes, then by the first one; no spike is lost."""
    record = make_record()
    spikes = (torch.rand(12, 3, 60, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    hidden = dataclasses.replace(record.layers[0], spikes=spikes, membrane=spikes)
    record = dataclasses.replace(record, layers=(hidden, record.layers[1]))
    ax = viz.raster(record, layer="hidden 1", sample=1).axes[0]
    rows = np.asarray(ax.images[0].get_array())
    keys = [(-row.sum(), row.argmax()) for row in rows]
    assert keys == sorted(keys)
    assert sorted(map(tuple, rows)) == sorted(map(tuple, spikes[:, 1].T.numpy()))
    assert ax.get_ylabel() == "hidden 1, sorted by spikes"


def test_current():
    ax = viz.raster(torch.full((3, 4), 0.5)).axes[0]
    assert title(ax) == "a current, not spikes"
    np.testing.assert_array_equal(ax.images[0].get_array(), np.full((4, 3), 0.5))


def test_million_spikes():
    spikes = torch.zeros(1000, 10_000, dtype=torch.bool)
    spikes[:, ::10] = True
    figure = viz.raster(spikes)
    figure.savefig(io.BytesIO(), format="png")
    shares = np.asarray(figure.axes[0].images[0].get_array())
    assert max(shares.shape) <= 1000
    assert shares.mean() == pytest.approx(0.1, rel=0.05)
    assert (shares > 0).all()

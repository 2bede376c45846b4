"""The pictures that belong to a run, and those that belong to a sample."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from spikemnist import viz
from spikemnist.training.metrics import EpochMetrics, History
from tests.viz.viz_records import CLASSIFIER, ENERGY, make_evaluation, make_record, title

HISTORY = History([EpochMetrics(1, 0.5, 0.8, 0.4, 0.9, 1e-3, 40.0)], best_epoch=1)
EVALUATION = make_evaluation(torch.eye(4).long())
WEIGHTS = torch.randn(5, 60)
IMAGES = torch.rand(3, 28, 28)
OF_NETWORK = ("encoding", "decision", "raster", "membrane", "spike_counts")


def shown(figure: Figure) -> list[str]:
    """Return the titles of all Axes."""
    return [title(ax) or ax.get_title() for ax in figure.axes]


@pytest.mark.parametrize(
    ("classifier", "options", "names"),
    [
        (None, {"history": HISTORY}, "training"),
        (None, {"history": HISTORY, "evaluation": EVALUATION}, "training confusion"),
        (WEIGHTS, {"energy": ENERGY, "image_shape": (3, 5, 4)}, "receptive_fields energy"),
        (
            CLASSIFIER,
            {"evaluation": EVALUATION, "image_shape": (3, 4)},
            "receptive_fields confusion stdp",
        ),
    ],
)
def test_pictures_of_what_a_run_has(classifier, options, names):
    figures = viz.of_run(classifier, **options)
    assert [*figures] == names.split()
    assert all(isinstance(figure, Figure) for figure in figures.values())


def test_pictures_of_a_sample():
    record = make_record()
    pictures = viz.of_sample(record, IMAGES, sample=1, label=3)
    assert tuple(pictures) == OF_NETWORK
    expected = {
        "raster": viz.raster(record, layer=0, sample=1),
        "membrane": viz.membrane(record, layer=0, sample=1),
        "spike_counts": viz.spike_counts(record, sample=1, label=3),
    }
    for name, figure in expected.items():
        assert shown(pictures[name]) == shown(figure)
    assert "image" in shown(pictures["encoding"])
    assert shown(pictures["decision"])[0] == "what the network sees"
    assert shown(pictures["decision"])[2:] == shown(viz.decision(record, sample=1, label=3))


@pytest.mark.parametrize(
    ("given", "shape"),
    [((28, 28), (28, 28)), ((784,), (28, 28)), ((8, 28, 28), (224, 28)), ((100,), (1, 100))],
)
def test_shape_of_the_input(given, shape):
    figure = viz.of_sample(torch.ones(5, 1, *given), IMAGES)["encoding"]
    pictures = [ax.images[0].get_array().shape for ax in figure.axes if ax.images]
    assert {*pictures} == {shape}
    assert ("image" in shown(figure)) == (shape == (28, 28))


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


def test_unknown_names():
    with pytest.raises(ValueError, match=r"names must be among encoding; got \['rster'\]"):
        viz.of_sample(torch.ones(2, 1, 784), names=["rster"])

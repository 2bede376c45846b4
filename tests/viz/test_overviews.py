"""The pictures that belong to a run, and those that belong to a sample."""

from __future__ import annotations

import pytest
import torch
from matplotlib.figure import Figure

from spikemnist import viz
from spikemnist.training.metrics import EpochMetrics, History
from spikemnist.viz import _overviews
from tests.viz.viz_records import make_evaluation, make_record, title

HISTORY = History([EpochMetrics(1, 0.5, 0.8, 0.4, 0.9, 1e-3, 40.0)], best_epoch=1)
EVALUATION = make_evaluation(torch.eye(4).long())
WEIGHTS = torch.randn(5, 60)
IMAGES = torch.rand(3, 28, 28)
OF_NETWORK = ("encoding", "raster", "membrane")


def shown(figure: Figure) -> list[str]:
    """Return the titles of all Axes."""
    return [title(ax) or ax.get_title() for ax in figure.axes]


@pytest.mark.parametrize(
    ("classifier", "options", "names"),
    [
        (None, {"history": HISTORY}, "training"),
        (None, {"history": HISTORY, "evaluation": EVALUATION}, "training confusion"),
        (WEIGHTS, {"image_shape": (3, 5, 4)}, "receptive_fields"),
    ],
)
def test_pictures_of_what_a_run_has(classifier, options, names):
    figures = viz.of_run(classifier, **options)
    assert [*figures] == names.split()
    assert all(isinstance(figure, Figure) for figure in figures.values())


def test_pictures_of_a_sample():
    record = make_record()
    pictures = viz.of_sample(record, IMAGES, sample=1, names=OF_NETWORK)
    assert tuple(pictures) == OF_NETWORK
    for name, draw in {"raster": viz.raster, "membrane": viz.membrane}.items():
        assert shown(pictures[name]) == shown(draw(record, layer=0, sample=1))
    assert "image" in shown(pictures["encoding"])


def test_pictures_of_a_missing_room(monkeypatch):
    for name in _overviews.BEYOND:
        monkeypatch.setitem(_overviews.BEYOND, name, f"spikemnist.nothing.{name}")
    assert tuple(viz.of_sample(make_record(), IMAGES)) == OF_NETWORK
    assert [*viz.of_sample(make_record(), names=["decision", "raster"])] == ["raster"]
    assert [*viz.of_run(history=HISTORY, energy=object())] == ["training"]


@pytest.mark.parametrize(
    ("given", "shape"),
    [((28, 28), (28, 28)), ((784,), (28, 28)), ((8, 28, 28), (224, 28)), ((100,), (1, 100))],
)
def test_shape_of_the_input(given, shape):
    figure = viz.of_sample(torch.ones(5, 1, *given), IMAGES)["encoding"]
    pictures = [ax.images[0].get_array().shape for ax in figure.axes if ax.images]
    assert {*pictures} == {shape}
    assert ("image" in shown(figure)) == (shape == (28, 28))


def test_unknown_names():
    with pytest.raises(ValueError, match=r"names must be among encoding; got \['rster'\]"):
        viz.of_sample(torch.ones(2, 1, 784), names=["rster"])

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from spikemnist import viz
from spikemnist.training.metrics import EpochMetrics, History
from tests.viz.viz_records import line, make_evaluation, title


def make_history(count, best=None):
    rows = [
        EpochMetrics(epoch, 1 / epoch, 1 - 0.5 / epoch, 1.2 / epoch, 1 - 0.6 / epoch, 1e-3, 40.0)
        for epoch in range(1, count + 1)
    ]
    return History(rows, best_epoch=best)


def labels(ax):
    return {curve.get_label() for curve in ax.lines}


def test_curves():
    history = make_history(4, best=3)
    loss, accuracy = viz.training_curves(history).axes
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert line(ax, "training").get_xdata().tolist() == [1, 2, 3, 4]
        assert line(ax, "training").get_ydata().tolist() == history.column(name)
        assert line(ax, "validation").get_ydata().tolist() == history.column(f"validation_{name}")
        assert line(ax, "best epoch (3)").get_xdata() == [3, 3]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", name)
        assert all(float(tick).is_integer() for tick in ax.get_xticks())
        assert line(ax, "training").get_marker() != line(ax, "validation").get_marker()
        assert {text.get_text() for text in ax.get_legend().get_texts()} == labels(ax)


def test_accuracy_in_per_cent():
    figure = viz.training_curves(make_history(3))
    figure.canvas.draw()
    assert all("%" in text.get_text() for text in figure.axes[1].get_yticklabels())


def test_unmeasured_epochs():
    history = make_history(4)
    history.epochs[1] = EpochMetrics(2, 0.5, 0.7, None, float("nan"), 1e-3, 40.0)
    for ax in viz.training_curves(history).axes:
        assert line(ax, "validation").get_xdata().tolist() == [1, 3, 4]
    unvalidated = History([EpochMetrics(1, 0.5, 0.7, None, None, 1e-3, 40.0)])
    for ax in viz.training_curves(unvalidated).axes:
        assert labels(ax) == {"training"}


def test_accuracy_of_unseen_images():
    evaluation = make_evaluation(torch.tensor([[3, 1], [0, 4]]))
    figure = viz.training_curves(make_history(3), test=evaluation)
    dotted = line(figure.axes[1], "unseen test images")
    assert set(dotted.get_ydata()) == {evaluation.accuracy}
    assert dotted.get_linestyle() == ":"
    assert "has seen the training images in every epoch" in figure.get_supxlabel()


def test_no_markers_for_many_epochs():
    for ax in viz.training_curves(make_history(200)).axes:
        assert line(ax, "training").get_markersize() == 0


def test_given_axes():
    figure = Figure()
    pair = figure.subplots(1, 2)
    assert viz.training_curves(make_history(2), ax=pair) is figure
    assert len(figure.axes) == 2


CONFUSION = torch.tensor([[90, 10, 0], [0, 5, 5], [0, 0, 0]])


def test_counts_and_shares_of_cells():
    ax, bar = viz.confusion(make_evaluation(CONFUSION)).axes
    written = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "90", (1, 0): "10", (1, 1): "5", (2, 1): "5"}  # column, row
    (image,) = ax.images
    np.testing.assert_allclose(image.get_array(), [[0.9, 0.1, 0], [0, 0.5, 0.5], [0, 0, 0]])
    assert image.get_clim() == (0, 1)
    assert title(ax) == "accuracy 86.36% on 110 samples"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert bar.get_ylabel() == "share of the class's samples (numbers: samples)"


def luminance(colour):
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot([0.2126, 0.7152, 0.0722], channels))


def test_contrast_of_counts():
    ramp = torch.arange(21)
    square = torch.zeros(21, 21, dtype=torch.long)
    square[:, 0], square[:, 1] = 20 - ramp, ramp
    ax = viz.confusion(make_evaluation(square)).axes[0]
    (image,) = ax.images
    assert {text.get_color() for text in ax.texts} == {"black", "white"}
    for text in ax.texts:
        column, row = (int(x) for x in text.get_position())
        cell = luminance(image.to_rgba(image.get_array())[row, column])
        ink = luminance(to_rgba(text.get_color()))
        light, dark = max(cell, ink), min(cell, ink)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA


def test_no_counts_for_many_classes():
    assert not viz.confusion(make_evaluation(torch.eye(50).long())).axes[0].texts


def test_names_of_classes():
    evaluation = replace(make_evaluation(CONFUSION), classes=("coat", "shirt", "bag"))
    ax = viz.confusion(evaluation).axes[0]
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["coat", "shirt", "bag"]

"""Pictures of what neurons learn by STDP."""

from __future__ import annotations

import numpy as np
import torch

from spikemnist import viz
from spikemnist.plasticity import stdp_window
from tests.plasticity.cases import CLASSIFIER
from tests.viz.viz_records import make_evaluation


def test_window():
    lags = torch.arange(-30.0, 31.0)
    after, before = viz.stdp_window(lags, stdp_window(lags)).axes[0].lines[:2]
    assert after.get_xdata().tolist() == list(range(1, 31))
    assert before.get_xdata().tolist() == list(range(-30, 0))
    assert (after.get_ydata() > 0).all()
    assert (before.get_ydata() < 0).all()


def test_accuracy_classes_and_thresholds():
    accuracy, classes, thresholds = viz.stdp(CLASSIFIER).axes
    assert accuracy.lines[0].get_ydata().tolist() == [0.5, 0.75]
    assert "leaps when all take part" in accuracy.texts[0].get_text()
    assert [bar.get_height() for bar in classes.patches] == [1, 3, 1, 1]
    assert [label.get_text() for label in classes.get_xticklabels()] == ["a", "b", "c", "none"]
    assert sum(bar.get_height() for bar in thresholds.patches) == 6
    assert thresholds.lines[0].get_xdata() == [3.5, 3.5]
    assert thresholds.get_title(loc="left").startswith("mean 3.5 mV (the line), standard")


def test_receptive_fields():
    for drawn in (CLASSIFIER, CLASSIFIER.weights_):
        figure = viz.receptive_fields(drawn, image_shape=(3, 4))
        assert len(figure.axes[0].texts) == 6


def test_animation(tmp_path):
    first = CLASSIFIER.weights_
    animation = viz.animate_receptive_fields(
        [first, first / 2], titles=["before", "after"], image_shape=(3, 4), neurons=[1, 0]
    )
    animation.save(tmp_path / "growth.gif", writer="pillow", dpi=40)
    (picture,) = animation._func(0)
    pixels = np.asarray(picture.get_array())
    (picture,) = animation._func(1)
    assert np.allclose(np.nan_to_num(picture.get_array()) * 2, np.nan_to_num(pixels))
    assert picture.axes.get_title(loc="left") == "after"


def test_picture_of_a_run():
    evaluation = make_evaluation(torch.eye(4).long())
    pictures = viz.of_run(CLASSIFIER, evaluation=evaluation, image_shape=(3, 4))
    assert [*pictures] == ["receptive_fields", "confusion", "stdp"]

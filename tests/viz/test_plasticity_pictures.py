"""Pictures of what neurons learn by STDP."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spikemnist import viz
from spikemnist.plasticity import stdp_window

CLASSIFIER = SimpleNamespace(
    assignments_=np.array([0, 1, 1, -1, 2, 1]),
    classes_=np.array(["a", "b", "c"]),
    theta_=np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    weights_=np.random.default_rng(0).random((6, 12)).astype(np.float32),
    accuracy_history_=np.array([[4000.0, 0.5], [6000.0, 0.75]]),
)


def test_the_window_is_drawn_on_both_sides_of_zero():
    lags = torch.arange(-30.0, 31.0)
    after, before = viz.stdp_window(lags, stdp_window(lags)).lines[:2]
    assert after.get_xdata().tolist() == list(range(1, 31))
    assert before.get_xdata().tolist() == list(range(-30, 0))
    assert (after.get_ydata() > 0).all()
    assert (before.get_ydata() < 0).all()


@pytest.mark.parametrize(("lag", "change"), [([], []), ([1.0, 2.0], [1.0]), ([[1.0]], [[1.0]])])
def test_lags_and_changes_belong_together(lag, change):
    with pytest.raises(ValueError, match=r"lag and change must be \[n\] both"):
        viz.stdp_window(lag, change)


def test_bars_count_the_neurons_of_each_class_and_of_none():
    ax = viz.assignments(CLASSIFIER)
    assert [bar.get_height() for bar in ax.patches] == [1, 3, 1, 1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c", "none"]


def test_the_histogram_holds_every_threshold():
    ax = viz.thresholds(CLASSIFIER)
    assert sum(bar.get_height() for bar in ax.patches) == 6
    assert ax.get_title(loc="left").startswith("mean 3.5 mV")


def test_the_running_accuracy():
    (line,) = viz.running_accuracy(CLASSIFIER).lines
    assert line.get_ydata().tolist() == [0.5, 0.75]


def test_receptive_fields_of_a_classifier_and_of_an_array():
    for drawn in (CLASSIFIER, CLASSIFIER.weights_):
        figure = viz.receptive_fields(drawn, image_shape=(3, 4))
        assert len(figure.axes[0].texts) == 6


def test_the_animation_grows(tmp_path):
    first = CLASSIFIER.weights_
    animation = viz.animate_receptive_fields(
        [first, first / 2], titles=["before", "after"], image_shape=(3, 4), neurons=[1, 0]
    )
    animation.save(tmp_path / "growth.gif", writer="pillow")
    (picture,) = animation._func(0)
    shown = np.asarray(picture.get_array())
    (picture,) = animation._func(1)
    assert np.allclose(np.nan_to_num(picture.get_array()) * 2, np.nan_to_num(shown))
    assert picture.axes.get_title(loc="left") == "after"


@pytest.mark.parametrize(
    ("snapshots", "options", "message"),
    [
        ([], {}, "got no snapshots"),
        ([np.zeros((2, 5))], {}, r"weights must be \[N, 784\]"),
        ([np.zeros((2, 784))], {"titles": []}, "got 0 titles for 1 snapshots"),
    ],
)
def test_mistakes(snapshots, options, message):
    with pytest.raises(ValueError, match=message):
        viz.animate_receptive_fields(snapshots, **options)

"""Thresholds and weights that adapt in as many images as there are, and warnings where not."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist import STDPClassifier, load_digits
from spikemnist.plasticity.training_loop import Pace, pace, warn_of_idle
from tests.plasticity.bar_images import ANSWERS, IMAGES, LABELS, OTHERS, same, small

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = st.integers(1, 10**6)


def steps(classifier: STDPClassifier, images: int) -> Pace:
    return pace(classifier.get_params(), images)


@given(COUNTS, COUNTS, COUNTS)
def test_fewer_images_and_more_neurons_call_for_longer_steps(
    neurons: int, images: int, more: int
) -> None:
    few = steps(STDPClassifier(neurons), images)
    many = steps(STDPClassifier(neurons), images + more)
    assert few.theta_plus >= many.theta_plus > 0
    assert few.learning_rate >= many.learning_rate > 0
    wide = steps(STDPClassifier(neurons + more), images)
    assert wide.theta_plus > few.theta_plus
    assert wide.learning_rate == few.learning_rate


@pytest.mark.parametrize("images", [20_000, 60_000, 300_000])
@pytest.mark.parametrize("neurons", [100, 400, 1600, 6400])
def test_a_long_training_keeps_its_steps_bit_for_bit(neurons: int, images: int) -> None:
    found = steps(STDPClassifier(neurons), images)
    assert np.float32(found.theta_plus) == np.float32(0.05 / 400 * neurons)
    assert found.learning_rate == 0.005


def test_the_docstring_has_the_equation() -> None:
    found = steps(STDPClassifier(400), 5000)
    assert found.theta_plus == pytest.approx(0.05 * 20000 / 5000)
    assert found.learning_rate == pytest.approx(0.005 * 20000 / 5000)
    assert steps(STDPClassifier(400), 10) == steps(STDPClassifier(400), 1000)
    assert "20000" in (STDPClassifier.__doc__ or "")


@given(COUNTS)
def test_given_values_are_kept(images: int) -> None:
    given_values = STDPClassifier(theta_plus=0.3, learning_rate=0.04)
    assert steps(given_values, images) == (0.3, 0.04)


@pytest.mark.filterwarnings("ignore:.*neuron")
def test_passes_count_as_images_and_partial_fit_does_not_count() -> None:
    unset = {"theta_plus": None, "learning_rate": None}
    twice = small(passes=2, **unset).fit(OTHERS.repeat(4, 0), ANSWERS.repeat(4), progress=False)
    assert (twice.theta_plus_, twice.learning_rate_) == steps(twice, 1600)
    assert twice.get_params()["theta_plus"] is None
    piece = small(**unset).partial_fit(OTHERS, ANSWERS)
    assert (piece.theta_plus_, piece.learning_rate_) == steps(piece, 60_000)


@pytest.mark.filterwarnings("ignore:.*neuron")
def test_a_saved_classifier_goes_on_at_its_pace(tmp_path: Path) -> None:
    classifier = small(theta_plus=None, learning_rate=None).fit(IMAGES, LABELS, progress=False)
    file = classifier.save(tmp_path / "classifier.safetensors")
    loaded = STDPClassifier.load(file)
    assert loaded.theta_plus_ == classifier.theta_plus_ == steps(classifier, 400).theta_plus
    for each in (classifier, loaded):
        each.partial_fit(OTHERS, ANSWERS)
    assert same(classifier, loaded)


def expect_warning(spikes: list[int], theta: float, theta_plus: float, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        warn_of_idle(np.array(spikes), np.full(len(spikes), theta), theta_plus, 52.0)


def test_warnings_name_the_value_to_try() -> None:
    tried = r"thresholds rose by 9 mV instead of about 35 mV, try theta_plus=0\.19"
    expect_warning([0, 0, 5, 5, 5, 5, 5, 5, 5, 5], 9.0, 0.05, rf"2 of 10 neurons never .*: {tried}")
    expect_warning([1, 1, 1, 4, 1, 1, 1, 1, 1, 1], 9.0, 0.05, rf"neuron 3 made 31% .*: {tried}")
    expect_warning([0, 0, 5, 5, 5, 5, 5, 5, 5, 5], 40.0, 0.05, "try n_neurons=8, or more passes")
    expect_warning([1, 1, 1, 4, 1, 1, 1, 1, 1, 1], 40.0, 0.05, "spikes: train on more images")
    expect_warning([1, 1, 1, 4, 1, 1, 1, 1, 1, 1], 0.2, 0.05, "rose by 0.2 .*try theta_plus=0.5$")
    expect_warning([1, 1, 1, 4, 1, 1, 1, 1, 1, 1], 0.0, 0.0, "try theta_plus=None")


@pytest.mark.parametrize(
    "spikes", [[9, 1, 1, 1], [3, 1, 1, 1, 1, 1, 1, 1, 1, 1], [0] + [1] * 20], ids=str
)
def test_neurons_that_share_the_work_are_not_named(spikes: list[int]) -> None:
    """Of four neurons, one makes a quarter of the spikes in any case."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_idle(np.array(spikes), np.full(len(spikes), 9.0), 0.05, 52.0)


def test_the_value_in_the_warning_mends_what_it_warns_of() -> None:
    """And few images make a curve. That the default steps learn them is an example of the class."""
    train, test = load_digits()
    images, labels = train.images[:3000], train.labels[:3000]
    slow = STDPClassifier(n_neurons=100, theta_plus=0.0125, learning_rate=0.005)
    with pytest.warns(UserWarning, match="try theta_plus=") as caught:
        slow.fit(images, labels, progress=False)
    (value,) = {str(each.message).rpartition("=")[2] for each in caught}
    before = slow.score(test.images, test.labels)
    better = slow.set_params(theta_plus=float(value)).fit(images, labels, progress=False)
    assert better.score(test.images, test.labels) > max(before + 0.1, 0.75)
    history = better.accuracy_history_
    assert len(history) >= 10
    assert history[0, 0] < 1000
    assert history[-1, 1] > history[0, 1]

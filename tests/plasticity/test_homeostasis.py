"""Default step sizes for few and many images and neurons, and warnings where they do not work."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist import STDPClassifier
from spikemnist.plasticity.homeostasis import step_sizes, warn_of_idle
from tests.plasticity.bar_images import IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, small

COUNTS = st.integers(1, 10**6)


def steps(neurons: int, images: int) -> tuple[float, float]:
    """Return default ``theta_plus`` and learning rate."""
    sizes = step_sizes(STDPClassifier(neurons).get_params(), images)
    return sizes["theta_plus"], sizes["learning_rate"]


@given(COUNTS, COUNTS, COUNTS)
def test_steps_grow_with_fewer_images_and_more_neurons(
    neurons: int, images: int, more: int
) -> None:
    theta_plus, learning_rate = steps(neurons, images)
    many_images, many_neurons = steps(neurons, images + more), steps(neurons + more, images)
    assert theta_plus >= many_images[0] > 0
    assert learning_rate >= many_images[1] > 0
    assert many_neurons[0] > theta_plus
    assert many_neurons[1] == learning_rate


@pytest.mark.parametrize("images", [20_000, 60_000, 300_000])
@pytest.mark.parametrize("neurons", [100, 400, 6400])
def test_steps_of_a_long_training(neurons: int, images: int) -> None:
    theta_plus, learning_rate = steps(neurons, images)
    assert np.float32(theta_plus) == np.float32(0.05 / 400 * neurons)
    assert learning_rate == 0.005


def test_steps_of_a_short_training() -> None:
    assert steps(400, 5000) == pytest.approx((0.05 * 20000 / 5000, 0.005 * 20000 / 5000))
    assert steps(400, 10) == steps(400, 1000)


def test_own_steps_are_used() -> None:
    own = {"theta_plus": 0.3, "learning_rate": 0.04}
    assert step_sizes(STDPClassifier(**own).get_params(), 9) == own


@pytest.mark.filterwarnings("ignore:.*neuron")
def test_steps_and_the_number_of_passes() -> None:
    images, labels = TEST_IMAGES.repeat(4, 0), TEST_LABELS.repeat(4)
    fitted = small(passes=2, theta_plus=None, learning_rate=None)
    fitted.fit(images, labels, progress=False)
    assert (fitted.theta_plus_, fitted.learning_rate_) == steps(20, 1600)
    assert fitted.theta_plus is None
    piece = small(theta_plus=None, learning_rate=None).partial_fit(images, labels)
    assert (piece.theta_plus_, piece.learning_rate_) == steps(20, 60_000)


@pytest.mark.parametrize(
    ("spikes", "message"),
    [
        ([0] * 4, "no neuron ever fired: the images are blank, or max_rate is too low"),
        ([0, 0, *[5] * 8], r"2 of 10 neurons never fired: raise theta_plus \(0.05 mV\), train on"),
        ([1, 1, 1, 4, *[1] * 6], r"neuron 3 made 31% of all spikes: raise theta_plus \(0.05 mV\)"),
    ],
)
def test_warnings_of_neurons_that_do_not_share_the_spikes(spikes: list[int], message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        warn_of_idle(np.array(spikes), 0.05)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "spikes", [[9, 1, 1, 1], [3, 1, 1, 1, 1, 1, 1, 1, 1, 1], [0] + [1] * 20], ids=str
)
def test_no_warning_if_most_neurons_fire(spikes: list[int]) -> None:
    """Of four neurons, one makes a quarter of the spikes in any case."""
    warn_of_idle(np.array(spikes), 0.05)


@pytest.mark.filterwarnings("ignore:.*neurons never fired")
def test_fit_warns() -> None:
    with pytest.warns(UserWarning, match="no neuron ever fired"):
        small().fit(0 * IMAGES, LABELS, progress=False)
    with pytest.warns(UserWarning, match=r"neuron \d+ made \d+% of all spikes"):
        small(theta_plus=0.0).fit(IMAGES[:1].repeat(64, 0), LABELS[:64], progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().fit(IMAGES, LABELS, progress=False)

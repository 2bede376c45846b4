"""Default step sizes for few and many images and neurons, and warnings where they do not work."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist import STDPClassifier
from spikemnist.plasticity.competitive_layer import CompetitiveLayer
from spikemnist.plasticity.homeostasis import step_factor, step_sizes, warn_of_idle
from tests.plasticity.bar_images import IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, small


def steps(neurons: int, images: int) -> tuple[float, float]:
    """Return default ``theta_plus`` and learning rate."""
    sizes = step_sizes(STDPClassifier(neurons).get_params(), images)
    return sizes["theta_plus"], sizes["learning_rate"]


@given(st.integers(1, 10**5), st.integers(1, 10**6) | st.integers(900, 21_000))
def test_steps_for_neurons_that_share_the_spikes(neurons: int, images: int) -> None:
    size, shortage = neurons / 400, 20_000 / max(images, 1_000)
    theta_plus, learning_rate = steps(neurons, images)
    assert theta_plus == pytest.approx(0.05 * max(size * shortage, size**0.75), rel=1e-12)
    factor = min(size, 4) ** 0.5 * max(1, shortage)
    assert learning_rate == pytest.approx(0.005 * max(1, factor), rel=1e-12)


def test_own_steps_are_used() -> None:
    own = {"theta_plus": 0.3, "learning_rate": 0.04}
    assert step_sizes(STDPClassifier(**own).get_params(), 9) == own


@given(st.integers(1, 1000))
def test_steps_become_shorter_and_keep_their_mean(blocks: int) -> None:
    steps = [step_factor((block + 0.5) / blocks) for block in range(blocks)]
    assert np.mean(steps) == pytest.approx(1)
    assert (np.diff([step_factor(0), *steps, step_factor(1)]) < 0).all()
    assert step_factor(1) == 0


@pytest.mark.filterwarnings("ignore:.*neuron")
def test_only_a_fit_shortens_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    learn, factors = CompetitiveLayer.learn, []

    def recorded(layer: CompetitiveLayer, *arguments: Any) -> np.ndarray:
        factors.append(arguments[3])
        return learn(layer, *arguments)

    monkeypatch.setattr(CompetitiveLayer, "learn", recorded)
    classifier = small(passes=2).fit(IMAGES[:96], LABELS[:96], progress=False)
    assert factors == [2 * (1 - seen / 192) for seen in (0, 64, 96, 160)]
    classifier.partial_fit(IMAGES[:64], LABELS[:64])
    assert factors[4:] == [1.0]


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

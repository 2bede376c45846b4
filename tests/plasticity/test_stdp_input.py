"""What the classifier that learns by STDP refuses, and what it reports."""

from __future__ import annotations

import copy
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spikemnist.plasticity import STDPClassifier
from spikemnist.plasticity._estimator import NotFittedError
from tests.plasticity.bar_images import (
    ANSWERS,
    IMAGES,
    LABELS,
    OTHERS,
    SIDE,
    same,
    small,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Whether all neurons fire matters to two tests, which ask for these warnings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*neurons never fired:UserWarning"),
    pytest.mark.filterwarnings("ignore:neuron .* made .* of all spikes:UserWarning"),
]


UNFITTED: list[Callable[[STDPClassifier], object]] = [
    lambda classifier: classifier.predict(OTHERS),
    lambda classifier: classifier.count_spikes(OTHERS),
    lambda classifier: classifier.decision_function(OTHERS),
    lambda classifier: classifier.score(OTHERS, ANSWERS),
    lambda classifier: classifier.save("nowhere"),
    lambda classifier: classifier.weights_,
    lambda classifier: classifier.theta_,
    lambda classifier: classifier.responses_,
    lambda classifier: classifier.assignments_,
    lambda classifier: classifier.accuracy_history_,
    lambda classifier: classifier.n_images_seen_,
]


@pytest.mark.parametrize("ask", UNFITTED)
@pytest.mark.parametrize("error", [ValueError, AttributeError])
def test_before_a_fit_there_is_nothing_to_ask(
    ask: Callable[[STDPClassifier], object],
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(error, match="this STDPClassifier is not fitted yet: call fit or partial"):
        ask(small())
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    with pytest.raises(NotFittedError, match="this STDPClassifier is not fitted yet"):
        ask(small())


WHOLE = ["n_neurons", "passes", "min_spikes", "random_state"]
POSITIVE = [
    *("duration", "timestep", "max_rate", "tau_membrane", "tau_excitation", "tau_inhibition"),
    *("tau_theta", "tau_trace", "max_weight", "total_weight"),
]
NOT_NEGATIVE = [
    *("rest", "rate_step", "refractory", "inhibition", "target_trace", "weight_dependence"),
]
POTENTIALS = [
    *("rest_potential", "reset_potential", "threshold"),
    *("excitatory_potential", "inhibitory_potential"),
]
PARAMETERS = [
    *((name, -1, f"{name} must be a whole number, at least") for name in WHOLE),
    *((name, 2.5, f"{name} must be a whole number, at least .; got 2.5") for name in WHOLE),
    *((name, None, f"{name} must be a whole number, at least .; got None") for name in WHOLE),
    ("random_state", 1 << 63, "random_state must be a whole number"),
    ("n_neurons", 0, "n_neurons must be a whole number, at least 1; got 0"),
    ("passes", 0, "passes must be a whole number, at least 1; got 0"),
    *((name, 0.0, f"{name} must be positive and finite; got 0.0") for name in POSITIVE),
    *((name, -1.0, f"{name} must be at least 0 and finite; got -1.0") for name in NOT_NEGATIVE),
    *(
        (name, value, f"{name} must be .*finite; got {value!r}")
        for name in (*POSITIVE, *NOT_NEGATIVE, *POTENTIALS)
        for value in (math.nan, math.inf, "1.0", None)
    ),
    *(
        ("theta_plus", value, "theta_plus must be None or at least 0 and finite; got")
        for value in (-0.1, math.nan, math.inf, "0.1")
    ),
    *(
        ("learning_rate", value, "learning_rate must be None or positive and finite; got")
        for value in (0.0, -0.1, math.nan, math.inf, "0.1")
    ),
    ("duration", 0.4, "duration must be at least a timestep of 1.0 ms; got 0.4"),
    ("max_rate", 1001.0, "max_rate must be at most one spike per timestep of 1.0 ms; got 1001"),
    ("threshold", -65.0, "threshold must lie above reset_potential, -65.0 mV; got -65.0"),
    ("reset_potential", -50.0, "threshold must lie above reset_potential, -50.0 mV; got -52.0"),
    ("voting", "loud", "voting must be one of proportional, assigned; got 'loud'"),
]


@pytest.mark.parametrize(("name", "value", "message"), PARAMETERS)
def test_a_parameter_out_of_its_range_is_refused(name: str, value: Any, message: str) -> None:
    for teach in (STDPClassifier.fit, STDPClassifier.partial_fit):
        with pytest.raises(ValueError, match=message):
            teach(small(**{name: value}), IMAGES, LABELS)


BAD_IMAGES = {
    "one image": (IMAGES[0, 0], ValueError, r"must be \[B, ...\].*got shape \(6,\).*images\[None"),
    "no images": (IMAGES[:0], ValueError, r"found no images: at least 1 is required"),
    "no pixels": (IMAGES[:, :0], ValueError, r"found 0 feature\(s\) \(shape=\(400, 0\)\)"),
    "too bright": (IMAGES * 1.0, ValueError, r"floating in \[0, 1\].*from 0.0 to 255.0. Divide"),
    "too dark": (IMAGES / -255, ValueError, r"floating in \[0, 1\].*got values from -1.0 to"),
    "no numbers": (IMAGES * math.nan, ValueError, r"without NaN or inf; got values from nan"),
    "infinite": (np.full((400, 9), math.inf), ValueError, r"without NaN or inf"),
    "wide integers": (IMAGES.astype(int), ValueError, r"got values from 0.0 to 255.0"),
    "complex": (IMAGES * 1j, ValueError, r"Complex data not supported: .*complex128"),
    "strings": (IMAGES.astype(str), ValueError, r"images must be numbers; got an array of dtype"),
}


@pytest.mark.parametrize("what", BAD_IMAGES)
def test_what_is_no_image_is_refused(what: str, fitted: STDPClassifier) -> None:
    images, error, message = BAD_IMAGES[what]
    labels = LABELS[: len(images)]
    for ask in (
        lambda: small().fit(images, labels),
        lambda: small().partial_fit(images, labels),
        lambda: copy.deepcopy(fitted).partial_fit(images, labels),
        lambda: fitted.predict(images),
        lambda: fitted.count_spikes(images),
        lambda: fitted.score(images, labels),
    ):
        with pytest.raises(error, match=message):
            ask()


def test_sparse_images_are_refused() -> None:
    class Sparse:
        def toarray(self) -> np.ndarray:
            return IMAGES

    with pytest.raises(TypeError, match=r"sparse input is not supported: pass images.toarray\(\)"):
        small().fit(Sparse(), LABELS)


def test_images_of_another_size_are_refused(fitted: STDPClassifier) -> None:
    message = r"X has 30 features, but STDPClassifier is expecting 36 features as input"
    for ask in (
        lambda: fitted.predict(OTHERS[:, :5]),
        lambda: fitted.count_spikes(OTHERS[:, :5]),
        lambda: copy.deepcopy(fitted).partial_fit(OTHERS[:, :5], ANSWERS),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


BAD_LABELS = {
    "none": (None, "the target y is None: labels assign neurons to classes"),
    "too few": (LABELS[1:], r"one entry for each of the 400 images; got shape \(399,\)"),
    "too many columns": (np.stack([LABELS] * 2, 1), r"each of the 400 images; got shape \(400, 2"),
    "missing": (np.where(LABELS, math.nan, 0.0), "labels must not contain NaN or inf"),
    "infinite": (np.where(LABELS, math.inf, 0.0), "labels must not contain NaN or inf"),
    "continuous": (LABELS + 0.5, "Unknown label type: continuous"),
}


@pytest.mark.parametrize("what", BAD_LABELS)
def test_what_is_no_label_is_refused(what: str, fitted: STDPClassifier) -> None:
    labels, message = BAD_LABELS[what]
    for ask in (
        lambda: small().fit(IMAGES, labels),
        lambda: small().partial_fit(IMAGES, labels, classes=[0, 1]),
        lambda: copy.deepcopy(fitted).partial_fit(IMAGES, labels),
        lambda: fitted.score(IMAGES, labels),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


def test_one_class_is_none() -> None:
    with pytest.raises(ValueError, match="labels must have at least 2 classes; got one class, 0"):
        small().fit(IMAGES, 0 * LABELS)


def test_a_refused_partial_fit_changes_nothing(fitted: STDPClassifier) -> None:
    classifier = copy.deepcopy(fitted)
    with pytest.raises(ValueError, match=r"among the classes \[0, 1\]; got \[2\]"):
        classifier.partial_fit(IMAGES, LABELS * 2)
    assert same(classifier, fitted)


def test_a_refused_first_partial_fit_leaves_nothing_fitted() -> None:
    classifier = small()
    with pytest.raises(ValueError, match=r"among the classes \[0, 1\]; got \[2\]"):
        classifier.partial_fit(OTHERS[:, :4], ANSWERS * 2, classes=[0, 1])
    classifier.partial_fit(IMAGES, LABELS)
    assert classifier.n_features_in_ == SIDE * SIDE


def test_dead_neurons_are_reported() -> None:
    with pytest.warns(UserWarning, match=r"of 100 neurons never fired: thresholds rose by 0"):
        small(n_neurons=100).fit(IMAGES[:20], LABELS[:20], progress=False)
    with pytest.warns(UserWarning, match="20 of 20 neurons never fired: the images are blank"):
        small().fit(0 * IMAGES, LABELS, progress=False)


def test_a_neuron_that_fires_for_all_the_others_is_reported() -> None:
    """Without adaptation, whoever is the first to fire for an image is always the first."""
    classifier = small(theta_plus=0.0)
    with pytest.warns(
        UserWarning, match=r"neuron \d+ made \d+% of all spikes: .*try theta_plus=None"
    ):
        classifier.fit(IMAGES[:1].repeat(64, axis=0), LABELS[:64], progress=False)


@pytest.mark.filterwarnings("error")
def test_neurons_that_share_the_work_are_not_reported() -> None:
    small().fit(IMAGES, LABELS, progress=False)
    # Two neurons, or four, cannot but make a quarter of the spikes each.
    small(n_neurons=2).fit(IMAGES, LABELS, progress=False)

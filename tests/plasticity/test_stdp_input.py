"""Parameters, images and labels that the STDP classifier refuses."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikemnist.plasticity import STDPClassifier
from tests.plasticity.bar_images import IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, same, small

UNFITTED: list[Callable[[STDPClassifier], object]] = [
    lambda classifier: classifier.predict(TEST_IMAGES),
    lambda classifier: classifier.count_spikes(TEST_IMAGES),
    lambda classifier: classifier.score(TEST_IMAGES, TEST_LABELS),
    lambda classifier: classifier.save("nowhere"),
    lambda classifier: classifier.weights_,
    lambda classifier: classifier.responses_,
    lambda classifier: classifier.accuracy_history_,
]


@pytest.mark.parametrize("use", UNFITTED)
@pytest.mark.parametrize("error", [ValueError, AttributeError])
def test_use_before_a_fit(use: Callable[[STDPClassifier], object], error: type[Exception]) -> None:
    with pytest.raises(error, match="this STDPClassifier is not fitted yet: call fit or partial"):
        use(small())


PARAMETERS = [
    ("passes", 2.5, r"passes must be an integer in 1\.\.2\*\*63 - 1; got 2.5"),
    ("n_neurons", 0, r"n_neurons must be an integer in 1\.\.2\*\*63 - 1; got 0"),
    ("min_spikes", -1, r"min_spikes must be an integer in 0\.\.2\*\*63 - 1; got -1"),
    ("random_state", 1 << 63, r"random_state must be an integer in 0\.\.2\*\*63 - 1"),
    ("tau_trace", 0.0, "tau_trace must be a number, above 0 and finite; got 0.0"),
    ("refractory", -1.0, "refractory must be a number, at least 0 and finite; got -1.0"),
    ("rest_potential", math.nan, "rest_potential must be a number, finite; got nan"),
    *(("rest", value, "rest must be .* finite; got ") for value in (math.inf, "1.0", None)),
    ("theta_plus", -0.1, "theta_plus must be a number, at least 0 and finite; got -0.1"),
    ("learning_rate", 0.0, "learning_rate must be a number, above 0 and finite; got 0.0"),
    ("duration", 0.4, "duration must be at least a timestep of 1.0 ms; got 0.4"),
    (
        "max_rate",
        1001.0,
        "max_rate in Hz must be at most one spike per timestep of 1.0 ms; got 1001",
    ),
    ("threshold", -65.0, "threshold must be a number, above -65 and finite; got -65.0"),
    ("voting", "loud", "voting must be one of proportional, assigned; got 'loud'"),
]


@pytest.mark.parametrize(("name", "value", "message"), PARAMETERS)
@pytest.mark.parametrize("fit", [STDPClassifier.fit, STDPClassifier.partial_fit])
def test_parameters_out_of_range(
    fit: Callable[..., STDPClassifier], name: str, value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(small(**{name: value}), IMAGES, LABELS)


BAD_IMAGES = [
    (IMAGES[0, 0], r"must be \[B, ...\].*got shape \(6,\).*X\[None"),
    (IMAGES[:0], r"must be \[B, ...\].*got shape \(0, 6, 6\)"),
    (IMAGES * 1.0, r"floating in \[0, 1\].*from 0.0 to 255.0. Divide.*\(clip=True\)"),
    (IMAGES / -255, r"floating in \[0, 1\].*got values from -1.0 to"),
    (np.where(np.arange(36).reshape(6, 6), IMAGES / 255, math.inf), "without NaN or inf"),
    (IMAGES * math.nan, r"without NaN or inf; got values from nan"),
    (IMAGES.astype(int), r"got values from 0.0 to 255.0"),
    (IMAGES * 1j, r"Complex data not supported: X must .*; got torch.complex128"),
    ([["dark", "bright"]] * 2, "could not convert string to float: .*'dark'"),
]
BAD_LABELS = [
    (LABELS[1:], r"one label for each of the 400 images; got shape \(399,\)"),
    (np.stack([LABELS] * 2, 1), r"each of the 400 images; got shape \(400, 2"),
    (np.where(LABELS, math.nan, 0.0), "Unknown label type: y must hold whole numbers or strings"),
    (np.where(LABELS, math.inf, 0.0), "y must hold .*, without NaN or inf; got"),
    (None, r"y should be a 1d array with one label for each .* got shape \(\)"),
    (LABELS + 0.5, "Unknown label type: y must hold whole numbers or strings"),
]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        *((images, LABELS[: len(images)], message) for images, message in BAD_IMAGES),
        *((IMAGES, labels, message) for labels, message in BAD_LABELS),
    ],
)
def test_invalid_images_and_labels(
    images: Any, labels: Any, message: str, fitted: STDPClassifier
) -> None:
    def tested(images: Any, labels: Any) -> object:
        return fitted.evaluate((images, labels))

    for use in (small().fit, copy.deepcopy(fitted).partial_fit, fitted.score, tested):
        with pytest.raises(ValueError, match=message):
            use(images, labels)


def test_sparse_images(fitted: STDPClassifier) -> None:
    from scipy.sparse import csr_array

    for use in (fitted.predict, lambda images: small().fit(images, LABELS)):
        with pytest.raises(TypeError, match=r"but a sparse csr_array was passed: pass X.toarray"):
            use(csr_array(IMAGES.reshape(400, -1)))


def test_images_of_another_size(fitted: STDPClassifier) -> None:
    for use in (fitted.count_spikes, lambda images: fitted.partial_fit(images, TEST_LABELS)):
        with pytest.raises(
            ValueError,
            match=r"X must be of 36 pixels, as in the fit; got torch.uint8 of shape \(200, 30\)",
        ):
            use(TEST_IMAGES[:, :5])


def test_classes_that_do_not_fit(fitted: STDPClassifier) -> None:
    classifier, message = copy.deepcopy(fitted), r"among the classes \[0, 1\]; got \[2\]"
    with pytest.raises(ValueError, match=message):
        classifier.partial_fit(IMAGES, LABELS * 2)
    assert same(classifier, fitted)
    with pytest.raises(ValueError, match="y must have at least 2 classes; got one class, 0"):
        small().fit(IMAGES, 0 * LABELS)
    fresh = small()
    with pytest.raises(ValueError, match=message):
        fresh.partial_fit(TEST_IMAGES[:, :4], TEST_LABELS * 2, classes=[0, 1])
    assert fresh.partial_fit(IMAGES, LABELS).n_features_in_ == 36

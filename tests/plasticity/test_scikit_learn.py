"""The classifier in tools of scikit-learn, which is imported where it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from tests.plasticity.bar_images import (
    IMAGES,
    LABELS,
    TEST_IMAGES,
    TEST_LABELS,
    small,
    small_features,
)

# Not all neurons fire in tasks as small as these.
pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")


def test_clone_copies_the_parameters_alone(fitted: STDPClassifier) -> None:
    from sklearn.base import clone, is_classifier

    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert is_classifier(copy)
    with pytest.raises(AttributeError, match="not fitted yet"):
        _ = copy.weights_


UNSCALED = {
    "check_estimators_unfitted": "NotFittedError has the bases of scikit-learn's, but is not it",
    "check_estimators_empty_data_messages": "the message has the shape, in other words",
    "check_classifiers_regression_target": "X is refused before y",
    "check_supervised_y_2d": "a column of labels is refused, not flattened",
}
"""Checks that fail, with the reason, beside those whose X is refused."""
REFUSED_IMAGES = "floating in [0, 1]", "or [B, F] of squares"
SCALED = {
    "check_estimators_overwrite_params": "Pipeline fits its steps in place",
    "check_dont_overwrite_parameters": "Pipeline fits its steps in place",
    "check_classifiers_train": "two pixels are no image: 83 % of blobs must be right",
    "check_supervised_y_no_nan": "the message must be scikit-learn's, as of its own Pipeline",
    "check_supervised_y_2d": "a column of labels is refused, not flattened",
}
"""Checks that fail behind a MinMaxScaler, with the reason."""


def failures(estimator: Any, expected: dict[str, str]) -> dict[str, str]:
    """Return the messages of scikit-learn's checks that fail, but for the expected ones."""
    from sklearn.utils.estimator_checks import check_estimator

    options = {"expected_failed_checks": expected, "on_skip": None, "on_fail": None}
    results = check_estimator(estimator, **options)
    assert sum(result["status"] == "passed" for result in results) > 20
    return {
        result["check_name"]: str(result["exception"])
        for result in results
        if result["status"] == "failed"
        and not any(words in str(result["exception"]) for words in REFUSED_IMAGES)
    }


def padded(images: np.ndarray) -> np.ndarray:
    """Return flat images with black pixels up to the next square."""
    side = int(np.ceil(np.sqrt(images.shape[1])))
    return np.pad(images, ((0, 0), (0, side**2 - images.shape[1])))


def tiny_features() -> ConvSTDPClassifier:
    sides = {"kernel_size": 1, "pool_size": 1, "inhibition_radius": 0}
    return small_features(n_features=2, num_steps=2, threshold=0.5, epochs=1, **sides)


@pytest.mark.filterwarnings("ignore:.*does not inherit from")
def test_the_checks_of_estimators() -> None:
    assert failures(small(), UNSCALED) == {}
    assert failures(tiny_features(), UNSCALED) == {}


@pytest.mark.slow
def test_the_checks_of_estimators_behind_a_scaler() -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

    scaler, squares = MinMaxScaler(clip=True), FunctionTransformer(padded)
    assert failures(make_pipeline(scaler, small()), SCALED) == {}
    assert failures(make_pipeline(scaler, squares, tiny_features()), SCALED) == {}


def test_cross_validation_and_grid_search() -> None:
    from sklearn.model_selection import GridSearchCV, cross_val_score

    images, labels = IMAGES[:240], LABELS[:240]
    scores = cross_val_score(small(), images, labels, cv=2, scoring="roc_auc")
    assert scores.shape == (2,)
    assert scores.mean() > 0.7
    search = GridSearchCV(small(), {"n_neurons": [2, 20]}, cv=2)
    search.fit(images, labels)
    assert search.best_params_ == {"n_neurons": 20}


def test_a_pipeline_passes_images_and_parameters_on(fitted: STDPClassifier) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    flatten = FunctionTransformer(lambda images: images.reshape(len(images), -1))
    pipeline = make_pipeline(flatten, small(n_neurons=3))
    pipeline.set_params(stdpclassifier__n_neurons=20)
    pipeline.fit(IMAGES, LABELS, stdpclassifier__progress=False)
    assert np.array_equal(pipeline.predict(TEST_IMAGES), fitted.predict(TEST_IMAGES))


@pytest.mark.parametrize("classifier", [small(), small_features()])
def test_unseen_pixels_above_the_range_of_a_scaler_are_clipped(
    classifier: STDPClassifier | ConvSTDPClassifier,
) -> None:
    """A pixel that is all but dark in training is 127 times brighter in the test."""
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    train, test = IMAGES[:200].reshape(200, -1).copy(), TEST_IMAGES.reshape(200, -1)
    train[:, 0] = np.minimum(train[:, 0], 2)
    scaled, clipped = (
        make_pipeline(MinMaxScaler(clip=clip), clone(classifier)).fit(train, LABELS[:200])
        for clip in (False, True)
    )
    with pytest.warns(UserWarning, match=r"to 127\.5, and are clipped.*MinMaxScaler\(clip=True\)"):
        scores = scaled.decision_function(test)
    assert np.array_equal(scores, clipped.decision_function(test))
    images, labels = np.concatenate([train, test]), np.concatenate([LABELS[:200], TEST_LABELS])
    with pytest.warns(UserWarning, match="are clipped"):
        assert np.isfinite(cross_val_score(scaled, images, labels, cv=2)).all()

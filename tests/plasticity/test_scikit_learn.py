"""The classifier in tools of scikit-learn, which is imported where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.plasticity.bar_images import (
    IMAGES,
    LABELS,
    TEST_IMAGES,
    TEST_LABELS,
    small,
    small_features,
)

if TYPE_CHECKING:
    from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier

# Not all neurons fire in tasks as small as these.
pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")


def test_clone_copies_the_parameters_alone(fitted: STDPClassifier) -> None:
    from sklearn.base import clone, is_classifier

    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert is_classifier(copy)
    with pytest.raises(AttributeError, match="not fitted yet"):
        _ = copy.weights_


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

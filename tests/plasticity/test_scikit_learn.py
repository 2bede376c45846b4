"""The classifier as scikit-learn sees it, which is imported where it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikemnist.plasticity import STDPClassifier
from tests.plasticity.bar_images import IMAGES, LABELS, small

# Not all neurons have something to do in such small tasks.
pytestmark = pytest.mark.filterwarnings("ignore")

FAILING = {
    # The second argument is called labels, as the first is called images.
    "check_fit_score_takes_y",
    "check_n_features_in_after_fitting",
    # Labels [B, 1] are taken as they are meant, without a warning of scikit-learn's own class.
    "check_supervised_y_2d",
}


class Squashed(STDPClassifier):
    """One that takes any finite numbers for images: most checks use normally distributed ones."""

    def fit(self, X: Any, y: Any, **options: Any) -> STDPClassifier:  # noqa: N803
        return super().fit(squash(X), y, **options)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> STDPClassifier:  # noqa: N803
        return super().partial_fit(squash(X), y, classes)

    def count_spikes(self, X: Any) -> np.ndarray:  # noqa: N803
        return super().count_spikes(squash(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = False
        return tags


def squash(images: Any) -> Any:
    """Return images in [0, 1]; what are none remain what they are."""
    array = np.empty(0) if hasattr(images, "toarray") else np.asarray(images)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        return images
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-array))


def test_it_passes_the_checks_of_scikit_learn() -> None:
    from sklearn.utils.estimator_checks import check_estimator

    estimator = Squashed(20, passes=3, duration=40.0, min_spikes=0, max_rate=200.0)
    results = check_estimator(estimator, on_fail=None)
    failed = {result["check_name"] for result in results if result["status"] == "failed"}
    assert failed == FAILING
    assert sum(result["status"] == "passed" for result in results) > 40


def test_a_clone_has_the_parameters_and_nothing_else() -> None:
    from sklearn.base import clone, is_classifier

    fitted = small(n_neurons=7).fit(IMAGES[:64], LABELS[:64], progress=False)
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert is_classifier(copy)
    with pytest.raises(AttributeError):
        _ = copy.weights_


def test_cross_validation_and_grid_search() -> None:
    from sklearn.model_selection import GridSearchCV, cross_val_score

    scores = cross_val_score(small(), IMAGES, LABELS, cv=3)
    assert scores.shape == (3,)
    assert scores.mean() > 0.7
    search = GridSearchCV(small(), {"n_neurons": [2, 20]}, cv=2)
    search.fit(IMAGES, LABELS)
    assert search.best_params_ == {"n_neurons": 20}

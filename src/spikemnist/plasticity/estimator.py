"""What scikit-learn expects of an estimator, without needing scikit-learn."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from spikemnist.plasticity.checks import label_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Self


def of_two(scores: NDArray[Any]) -> NDArray[Any]:
    """Return scores ``[B, C]``; of two classes the second less the first, ``[B]``, as is usual."""
    return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


class Estimator:
    """Conventions of a dataclass whose fields are its parameters."""

    n_features_in_: int
    classes_: NDArray[Any]

    def decision_function(self, images: ArrayLike) -> NDArray[Any]:
        """Return the scores of each class, ``[B, C]``; of two, their difference, ``[B]``."""
        raise NotImplementedError

    def predict(self, images: ArrayLike) -> NDArray[Any]:
        """Return the class with the highest score for each image.

        Parameters
        ----------
        images
            ``[B, ...]``, as ``fit`` takes them, of the size that was fitted.

        Returns
        -------
        numpy.ndarray
            ``[B]``, each one of ``classes_``.

        Raises
        ------
        ValueError
            For images that cannot be used, and before ``fit``.
        """
        scores = self.decision_function(images)
        best = scores.argmax(1) if scores.ndim == 2 else (scores > 0).astype(np.int64)
        winners: NDArray[Any] = self.classes_[best]
        return winners

    def score(self, images: ArrayLike, labels: ArrayLike) -> float:
        """Return the share of images whose class is predicted.

        Parameters
        ----------
        images, labels
            ``[B, ...]`` and ``[B]``, as ``fit`` takes them.

        Returns
        -------
        float
            The accuracy, in [0, 1].

        Raises
        ------
        ValueError
            For images or labels that cannot be used, and before ``fit``.
        """
        predicted = self.predict(images)
        return float((predicted == label_array(labels, len(predicted))).mean())

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep
            Of no meaning here: no parameter is an estimator.

        Returns
        -------
        dict
            What the class is called with to build an estimator like this one.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {field.name: getattr(self, field.name) for field in fields}

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters by name.

        Parameters
        ----------
        **parameters
            New values of some of those that `get_params` returns.

        Returns
        -------
        Self
            The estimator, so that calls can be chained.

        Raises
        ------
        ValueError
            For a name that is none.
        """
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(f"Invalid parameter {name!r}: choose from {', '.join(known)}")
            setattr(self, name, value)
        return self

    def plain_params(self) -> dict[str, Any]:
        """Return the parameters as Python's own numbers.

        Returns
        -------
        dict
            What `get_params` returns, with values that JSON knows.
        """
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in self.get_params().items()
        }

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what this is; nobody else calls it."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(poor_score=True),
            input_tags=InputTags(three_d_array=True, positive_only=True),
        )

"""The base of the two classifiers: scikit-learn's conventions, files and checks of the input.

Shapes: ``B`` images, ``F`` pixels, ``C`` classes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from spikemnist import _tensor_files
from spikemnist._arguments import check_number, must_be
from spikemnist._descriptions import fields_of, plain
from spikemnist._evaluation import Evaluation
from spikemnist._run_folder import MODEL, RunFolder, find_folder, open_folder
from spikemnist._tensors import Array
from spikemnist.data import ImageDataset
from spikemnist.data.feed import by_name, describe_data
from spikemnist.kernels import compiler

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Self

    from spikemnist.plasticity.assignment import Votes


FIT_AGAIN = "Restore it from a good copy, or fit the classifier again"
"""What to do about a damaged file of a classifier."""

CLIPPED_SHARE = 0.05
"""Largest share of pixels outside [0, 1] that are clipped.

Of unseen digits, a MinMaxScaler puts up to 0.012 there, with values as large as 255 where a pixel
was dark in training. Of digits in 0..255, 0.19 are there, and of digits in [-1, 1] 0.8.
"""


Count = int
Whole = int
Positive = float
NotNegative = float
Finite = float
SPANS = {
    "Count": f"1..{2**63 - 1}",
    "Whole": f"0..{2**63 - 1}",
    "Positive": "(0, inf)",
    "NotNegative": "[0, inf)",
    "Finite": "(-inf, inf)",
}
"""Span of a parameter, by the name of its type."""


class NotFittedError(ValueError, AttributeError):
    """Raised by methods that need a fitted classifier."""


class Estimator:
    """A classifier as a dataclass whose fields are its parameters, with their `SPANS` as types."""

    file_format: ClassVar[_tensor_files.Format]
    n_features_in_: int
    classes_: Array
    class_names_: tuple[str, ...] = ()

    def votes(self, X: ArrayLike) -> Votes:
        """Return the scores of each voting rule, and the spikes.

        Parameters
        ----------
        X : array_like
            Images ``[B, ...]``, as for ``fit``, of the fitted size.

        Returns
        -------
        Votes

        Raises
        ------
        ValueError
            If ``X`` is invalid or the classifier is not fitted.
        """
        raise NotImplementedError

    def _contents(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the fitted state as arrays and plain values, for `_restore`."""
        raise NotImplementedError

    def _restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Restore the fitted state that `_contents` returned."""
        raise NotImplementedError

    def decision_function(self, X: ArrayLike) -> Array:
        """Return the score of each class: the votes of spikes, or the output of the readout.

        Parameters
        ----------
        X : array_like
            Images ``[B, ...]``, as for ``fit``, of the fitted size.

        Returns
        -------
        numpy.ndarray
            ``[B, C]``, float64 for an `STDPClassifier` and float32 for a `ConvSTDPClassifier`. With
            two classes ``[B]``: the score of the second class minus the score of the first.

        Raises
        ------
        ValueError
            If ``X`` is invalid or the classifier is not fitted.
        """
        scores = self.votes(X).deciding
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: ArrayLike | ImageDataset) -> Array:
        """Return the class with the highest score for each image.

        Parameters
        ----------
        X : array_like or ImageDataset
            Images ``[B, ...]``, as for ``fit``, of the fitted size, or a dataset of such images,
            whose labels are not used.

        Returns
        -------
        numpy.ndarray
            ``[B]``, values of ``classes_``.

        Raises
        ------
        ValueError
            If ``X`` is invalid or the classifier is not fitted.
        """
        votes = self.votes(X.images if isinstance(X, ImageDataset) else X)
        predictions: Array = self.classes_[votes.deciding.argmax(1)]
        return predictions

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the accuracy: the share of images whose predicted class is the label.

        Parameters
        ----------
        X, y : array_like
            Images ``[B, ...]`` and labels ``[B]``, as for ``fit``.

        Returns
        -------
        float
            Accuracy in [0, 1].

        Raises
        ------
        ValueError
            If ``X`` or ``y`` is invalid or the classifier is not fitted.
        """
        predictions = self.predict(X)
        return float((predictions == _label_array(y, len(predictions))).mean())

    def evaluate(self, data: ImageDataset | tuple[ArrayLike, ArrayLike]) -> Evaluation:
        """Evaluate the classifier on labelled images, as `spikemnist.training.evaluate` does.

        Parameters
        ----------
        data : ImageDataset or tuple of array_like
            A dataset, or a pair: images ``[B, ...]`` and labels ``[B]``, as for ``fit``. A dataset
            is mapped by the names of its classes, if the classifier was fitted on one with names.

        Returns
        -------
        Evaluation
            Without loss and without accuracies after each timestep.

        Raises
        ------
        TypeError
            If ``data`` is neither a dataset of images nor a pair.
        ValueError
            If the images or labels are invalid, a class has another name than in the fit, or the
            classifier is not fitted.

        Examples
        --------
        >>> from spikemnist import load_digits
        >>> from spikemnist.plasticity import ConvSTDPClassifier
        >>> train, test = load_digits()
        >>> classifier = ConvSTDPClassifier(n_features=4, epochs=1)
        >>> classifier = classifier.fit(train.images[:100], train.labels[:100])
        >>> classifier.evaluate(test[:50]).confusion.sum()
        tensor(50)
        """
        start = time.perf_counter()
        if isinstance(data, ImageDataset):
            named: ImageDataset = by_name(data, self.class_names_)
            data = named.images, named.labels
        if not isinstance(data, tuple):
            raise must_be("data", "an ImageDataset or a pair (images, labels)", data, TypeError)
        images, labels = data
        votes = self.votes(images)
        scores, classes = votes.deciding, self.classes_
        _, targets = _read_labels(labels, len(scores), classes)
        predictions = scores.argmax(1)
        confusion = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(confusion, (targets, predictions), 1)
        ((neurons, spikes),) = votes.spikes.items()
        return Evaluation(
            accuracy=float((predictions == targets).mean()),
            loss=math.nan,
            confusion=torch.from_numpy(confusion),
            spikes_per_sample={neurons: float(spikes.mean())},
            silent=float((spikes == 0).mean()),
            tied=float(((scores == scores.max(1, keepdims=True)).sum(1) > 1).mean()),
            accuracy_per_step=torch.empty(0),
            samples=len(targets),
            backend="event_driven",
            seconds=time.perf_counter() - start,
            votes={
                rule: float((by_rule.argmax(1) == targets).mean())
                for rule, by_rule in votes.scores.items()
                if len(votes.scores) > 1
            },
            classes=tuple(map(str, classes)),
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the parameters and the fitted state to a safetensors file, atomically.

        Parameters
        ----------
        path : path
            File to write, usually ``*.safetensors``.

        Returns
        -------
        pathlib.Path
            ``path``.

        Raises
        ------
        ValueError
            If the classifier is not fitted, or a number is NaN or infinite.
        OSError
            If the file cannot be written.
        """
        arrays, metadata = self._contents()
        common = {"parameters": plain(self.get_params()), "classes": self.classes_.tolist()}
        common |= {"names": self.class_names_} if self.class_names_ else {}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return _tensor_files.write(path, self.file_format, tensors, common | metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a classifier that `save` wrote.

        Parameters
        ----------
        path : path
            File to read.

        Returns
        -------
        Self
            A classifier with the same predictions.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If the file is damaged, holds no such classifier, or holds NaN or infinity.
        """
        tensors, metadata = _tensor_files.read(path, cls.file_format)
        with _tensor_files.described(path, cls.file_format):
            classifier = cls(**metadata["parameters"])
            classifier._check_parameters()
            classifier.classes_ = np.array(metadata["classes"])
            classifier.class_names_ = tuple(metadata.get("names", ()))
            _tensor_files.check_classes([*map(str, metadata["classes"])])
            classifier._restore(tensors, metadata)
        return classifier

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default True
            No effect: no parameter is an estimator.

        Returns
        -------
        dict
            Keyword arguments with which the class builds an estimator like this one.
        """
        return fields_of(self)

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters by name.

        Parameters
        ----------
        **parameters
            New values, by names that `get_params` returns.

        Returns
        -------
        Self
            The estimator itself, so that calls can be chained.

        Raises
        ------
        ValueError
            For an unknown name.
        """
        known = self.get_params()
        for name, value in parameters.items():
            if name not in known:
                raise ValueError(f"Invalid parameter {name!r}: choose from {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags of an image classifier."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        transforms = hasattr(self, "transform")
        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            transformer_tags=TransformerTags(preserves_dtype=[]) if transforms else None,
            input_tags=InputTags(three_d_array=True, positive_only=True),
        )

    def _check_parameters(self) -> None:
        """Raise a ValueError unless the parameters are in range; a class adds what must agree."""
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            kind, _, none = str(field.type).partition(" | ")
            value = getattr(self, field.name)
            if kind in SPANS and not (none and value is None):
                check_number(field.name, value, SPANS[kind])

    def _check_numba(self) -> None:
        if missing := compiler.missing():
            raise ImportError(f"{type(self).__name__} needs {missing}. pair_stdp does not need it")

    def _fitted(self) -> Self:
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet: call fit or partial_fit first"
            )
        return self

    def _fitted_pixels(self, X: Any) -> Tensor:
        """Return images ``[B, F]``; raise unless they have the pixels of the fit."""
        self._fitted()
        pixels = _read_images(X)
        if pixels.shape[1] != self.n_features_in_:
            raise must_be("X", f"of {self.n_features_in_} pixels, as in the fit", pixels)
        return pixels

    @contextlib.contextmanager
    def _run(
        self, run: str | os.PathLike[str] | None, X: Any, pixels: Tensor, targets: Array
    ) -> Iterator[RunFolder | None]:
        """Claim the folder of a run, if one is asked for, and write the classifier at its end."""
        folder, _ = find_folder(run, resume=False)
        description: dict[str, Any] = {}
        if folder:
            labels = torch.from_numpy(targets)
            data = X if isinstance(X, ImageDataset) else ImageDataset(pixels, labels)
            description = {
                "classifier": {"name": type(self).__name__, **plain(self.get_params())},
                "data": describe_data(data, None),
            }
        with open_folder(folder, description, resume=False) as opened:
            yield opened
            if opened:
                self.save(opened.file(MODEL))

    def _training_set(
        self,
        X: ArrayLike | ImageDataset,
        y: ArrayLike | None,
        classes: ArrayLike | None = None,
        *,
        fitted: bool = False,
    ) -> tuple[Tensor, Array, Array]:
        """Return images ``[B, F]``, the sorted classes and the index in them of each label.

        The parameters are checked as well. The classes are those of the fit if it goes on, else
        ``classes``, by default all in ``y``.
        """
        self._check_parameters()
        images, labels = X, y
        if isinstance(X, ImageDataset):
            if y is not None:
                raise must_be("y", "None, as the dataset X has its labels", y, TypeError)
            images, labels = X.images, X.labels
        pixels = self._fitted_pixels(images) if fitted else _read_images(images)
        self.class_names_ = self.class_names_ if fitted else getattr(X, "classes", ())
        return pixels, *_read_labels(labels, len(pixels), self.classes_ if fitted else classes)


def _read_images(X: Any) -> Tensor:
    """Return images ``[B, ...]`` as ``[B, F]`` on the CPU, uint8, or float32 in [0, 1].

    A few values outside [0, 1], as in unseen images after a MinMaxScaler, are clipped with a
    warning.
    """
    images = X if isinstance(X, torch.Tensor) else torch.from_numpy(_image_array(X))
    if images.is_complex():
        raise ValueError(f"Complex data not supported: X must hold grey values; got {images.dtype}")
    if images.dim() < 2 or not images.numel():
        raise ValueError(
            f"X must be [B, ...], one row for each image; got shape {tuple(images.shape)}. "
            "Reshape your data: X[None] is a batch of one image"
        )
    pixels = images.detach().cpu().flatten(1).contiguous()
    if pixels.dtype != torch.uint8:
        pixels = pixels.float()
        outside = int(((pixels < 0) | (pixels > 1)).sum()) / pixels.numel()
        values = f"values from {float(pixels.min())} to {float(pixels.max())}"
        if outside > CLIPPED_SHARE or not bool(pixels.isfinite().all()):
            raise ValueError(
                "X must be uint8, or floating in [0, 1] without NaN or inf; got "
                f"{values}. Divide grey values by 255, or scale with MinMaxScaler(clip=True)"
            )
        if outside:
            warnings.warn(
                f"X must lie in [0, 1]: {outside:.2g} of the pixels do not, with {values}, "
                "and are clipped. In scikit-learn, scale with MinMaxScaler(clip=True)",
                stacklevel=4,
            )
            pixels = pixels.clamp(0, 1)
    return pixels


def _image_array(X: Any) -> Array:
    """Return images as an array of numbers that torch takes."""
    if hasattr(X, "toarray"):
        raise TypeError(
            f"X must be dense, but a sparse {type(X).__name__} was passed: pass X.toarray()"
        )
    array: Array = np.require(X, requirements=["C", "W"])  # torch warns of a read-only one
    return array.astype(np.float64) if array.dtype.kind in "OSU" else array


def _read_labels(y: Any, images: int, classes: ArrayLike | None) -> tuple[Array, Array]:
    """Return the sorted classes, None for those in ``y``, and the index in them of each label."""
    labels = _label_array(y, images)
    known = np.unique(labels if classes is None else _label_array(classes, None))
    _tensor_files.check_classes([*map(str, known)])
    if len(known) < 2:
        raise ValueError(f"y must have at least 2 classes; got one class, {known.tolist()[0]!r}")
    if len(unknown := np.setdiff1d(labels, known)):
        raise ValueError(f"y must be among the classes {known.tolist()}; got {unknown.tolist()}")
    return known, np.searchsorted(known, labels)


def _label_array(y: Any, images: int | None) -> Array:
    """Return labels as an array of whole numbers or strings, one per image."""
    array: Array = y.cpu().numpy() if isinstance(y, torch.Tensor) else np.asarray(y)
    if array.ndim != 1 or (images is not None and len(array) != images):
        raise ValueError(
            f"y should be a 1d array with one label for each of the {images} images; "
            f"got shape {array.shape}"
        )
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == array.round())).all():
        raise ValueError(
            f"Unknown label type: y must hold whole numbers or strings, without NaN or inf; "
            f"got {array}"
        )
    return array

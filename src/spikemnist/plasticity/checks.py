"""Checks of what a classifier is asked to do."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist.kernels import compiler
from spikemnist.plasticity.assignment import VOTINGS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from spikemnist.plasticity.classifier import STDPClassifier
    from spikemnist.plasticity.convolutional import ConvSTDPClassifier
    from spikemnist.plasticity.estimator import Estimator

    Array = NDArray[Any]

WHOLE = {"n_neurons": 1, "passes": 1, "min_spikes": 0, "random_state": 0}
"""Parameters that are whole numbers, and the least of each."""

POSITIVE = (
    "duration",
    "timestep",
    "max_rate",
    "tau_membrane",
    "tau_excitation",
    "tau_inhibition",
    "tau_theta",
    "tau_trace",
    "max_weight",
    "total_weight",
)
NOT_NEGATIVE = (
    "rest",
    "rate_step",
    "refractory",
    "inhibition",
    "target_trace",
    "weight_dependence",
)
POTENTIALS = (
    "rest_potential",
    "reset_potential",
    "threshold",
    "excitatory_potential",
    "inhibitory_potential",
)


CONVOLUTION_WHOLE = {
    "n_features": 1,
    "kernel_size": 1,
    "pool_size": 1,
    "num_steps": 1,
    "n_winners": 1,
    "inhibition_radius": 0,
    "feature_images": 1,
    "doubling": 1,
    "epochs": 1,
    "batch_size": 1,
    "random_state": 0,
}
CONVOLUTION_POSITIVE = (
    "min_contrast",
    "threshold",
    "learning_rate",
    "max_learning_rate",
    "depression",
    "lr",
)


def check_parameters(classifier: STDPClassifier) -> None:
    """Raise unless each parameter is in its range."""
    given = classifier.get_params()
    for name, least in WHOLE.items():
        _check_whole(name, given[name], least)
    learning_rate, theta_plus = given["learning_rate"], given["theta_plus"]
    if learning_rate is not None and not (_is_finite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be None or positive; got {learning_rate!r}")
    if theta_plus is not None and not (_is_finite(theta_plus) and theta_plus >= 0):
        raise ValueError(f"theta_plus must be None or at least 0; got {theta_plus!r}")
    for name in (*POSITIVE, *NOT_NEGATIVE, *POTENTIALS):
        if not _is_finite(given[name]):
            raise ValueError(f"{name} must be a finite number; got {given[name]!r}")
    for name in POSITIVE:
        if given[name] <= 0:
            raise ValueError(f"{name} must be positive; got {given[name]}")
    for name in NOT_NEGATIVE:
        if given[name] < 0:
            raise ValueError(f"{name} must not be negative; got {given[name]}")
    _check_together(given)


def check_convolution(classifier: ConvSTDPClassifier) -> None:
    """Raise unless each parameter of the convolutional classifier is in its range."""
    given = classifier.get_params()
    for name, least in CONVOLUTION_WHOLE.items():
        _check_whole(name, given[name], least)
    for name in CONVOLUTION_POSITIVE:
        if not (_is_finite(given[name]) and given[name] > 0):
            raise ValueError(f"{name} must be a positive number; got {given[name]!r}")
    if not 0 < given["min_contrast"] < 1:
        raise ValueError(f"min_contrast must lie between 0 and 1; got {given['min_contrast']}")
    if given["num_steps"] > 255:
        raise ValueError(f"num_steps must be at most 255; got {given['num_steps']}")
    if not given["learning_rate"] <= given["max_learning_rate"] <= 1:
        raise ValueError(
            "max_learning_rate must lie between learning_rate and 1; "
            f"got {given['max_learning_rate']}"
        )


def _check_whole(name: str, number: object, least: int) -> None:
    if not isinstance(number, int | np.integer) or not least <= number < 1 << 63:
        raise ValueError(f"{name} must be a whole number from {least}; got {number!r}")


def _check_together(given: dict[str, Any]) -> None:
    if round(given["duration"] / given["timestep"]) < 1:
        raise ValueError(
            f"duration must be at least a timestep of {given['timestep']} ms; "
            f"got {given['duration']}"
        )
    if given["max_rate"] * given["timestep"] > 1000:
        raise ValueError(
            f"max_rate must be at most one spike per timestep of {given['timestep']} ms; "
            f"got {given['max_rate']} Hz"
        )
    if given["threshold"] <= given["reset_potential"]:
        raise ValueError(
            f"threshold must lie above reset_potential, {given['reset_potential']} mV; "
            f"got {given['threshold']}"
        )
    if given["voting"] not in VOTINGS:
        raise ValueError(f"voting must be one of {', '.join(VOTINGS)}; got {given['voting']!r}")


def _is_finite(number: object) -> bool:
    real = isinstance(number, int | float | np.integer | np.floating)
    return real and math.isfinite(number)  # type: ignore[arg-type]


def check_numba(classifier: Estimator) -> None:
    """Raise where kernels cannot be compiled."""
    missing = compiler.obstacle()
    if missing:
        raise ImportError(
            f"{type(classifier).__name__} needs {missing}. The rules, such as pair_stdp, do without"
        )


def check_images(images: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return images ``[B, ...]`` as ``[B, F]`` on the CPU, uint8, or float32 in [0, 1]."""
    tensor = images if isinstance(images, torch.Tensor) else _as_tensor(images)
    if tensor.dim() < 2:
        raise ValueError(
            f"images must be [B, ...], one row for each image; got shape {tuple(tensor.shape)}. "
            "Reshape your data: images[None] is a batch of one image"
        )
    if not len(tensor):
        raise ValueError("found no images: at least 1 is required, got 0 sample(s)")
    tensor = tensor.detach().cpu().flatten(1).contiguous()
    if not tensor.shape[1]:
        raise ValueError(
            f"found 0 feature(s) (shape={tuple(tensor.shape)}) while a minimum of 1 is required."
        )
    if tensor.dtype != torch.uint8:
        tensor = tensor.float()
        if not bool(((tensor >= 0) & (tensor <= 1)).all()):  # NaN is not
            raise ValueError(
                "images must be uint8, or floating in [0, 1] without NaN or inf; got values "
                f"from {float(tensor.min())} to {float(tensor.max())}. Divide by their maximum"
            )
    return tensor


def check_size(classifier: Estimator, images: torch.Tensor) -> torch.Tensor:
    """Return images ``[B, F]`` if they have as many pixels as those that were fitted."""
    if images.shape[1] != classifier.n_features_in_:
        raise ValueError(
            f"X has {images.shape[1]} features, but {type(classifier).__name__} is expecting "
            f"{classifier.n_features_in_} features as input: images of the size that was fitted"
        )
    return images


def _as_tensor(images: ArrayLike) -> torch.Tensor:
    if hasattr(images, "toarray"):
        raise TypeError("sparse input is not supported: pass images.toarray()")
    array = np.asarray(images)
    if array.dtype.kind == "O":
        array = array.astype(np.float64)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: images are real; got {array.dtype}")
    if array.dtype.kind not in "buif":
        raise ValueError(f"images must be numbers; got an array of dtype {array.dtype}")
    if array.dtype != np.uint8:
        array = array.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(array))


def check_labels(labels: ArrayLike | None, images: int | None) -> tuple[Array, Array]:
    """Return the classes, sorted, and the position in them of the label of each image."""
    found = label_array(labels, images)
    classes, encoded = np.unique(found, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"labels must have at least 2 classes; got one class, {classes.tolist()[0]!r}"
        )
    return classes, encoded.astype(np.int64)


def encode_labels(labels: ArrayLike | None, images: int, classes: Array) -> Array:
    """Return the position in the known classes of the label of each image."""
    found = label_array(labels, images)
    unknown = np.setdiff1d(found, classes)
    if len(unknown):
        raise ValueError(
            f"labels must be among the classes {classes.tolist()}; got {unknown.tolist()}"
        )
    return np.searchsorted(classes, found)


def label_array(labels: ArrayLike | None, images: int | None) -> Array:
    """Return labels as an array of whole numbers or strings, one for each image."""
    if labels is None:
        raise ValueError(
            "requires y to be passed, but the target y is None: labels assign neurons to classes"
        )
    found = labels.cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or (images is not None and len(found) != images):
        raise ValueError(
            f"labels must have one entry for each of the {images} images; got shape {found.shape}"
        )
    if found.dtype.kind == "f":
        if not np.isfinite(found).all():
            raise ValueError("labels must not contain NaN or inf")
        if (found != found.round()).any():
            raise ValueError("Unknown label type: continuous. Labels are whole numbers or strings")
    return found


def not_fitted(classifier: Estimator) -> Exception:
    """Return the error about a classifier that has not been fitted, scikit-learn's where it is."""
    message = f"this {type(classifier).__name__} is not fitted yet: call fit or partial_fit first"
    if "sklearn" in sys.modules:
        from sklearn.exceptions import NotFittedError as TheirError

        error: Exception = TheirError(message)
        return error
    return NotFittedError(message)


class NotFittedError(ValueError, AttributeError):
    """Raised where something is asked of a classifier that has not been fitted."""

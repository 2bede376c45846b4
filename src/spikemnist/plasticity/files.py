"""File formats of classifiers and unfinished runs, and checks of their contents."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist import _tensor_files
from spikemnist._tensor_files import Format, check_tensors

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[Any]

BEFORE, NOW = WINDOWS = "before", "now"
"""Names of the responses in the earlier windows and in the current window."""

COUNTS = (".spikes", ".images", "wins")
"""Suffixes of the names of int64 arrays; all others are float32."""

_AGAIN = "Restore it from a good copy, or fit the classifier again"
CLASSIFIER = Format(
    "spikemnist-stdp-1",
    "STDP classifier",
    _AGAIN,
)
CONVOLUTIONAL = Format(
    "spikemnist-conv-stdp-1",
    "convolutional STDP classifier",
    _AGAIN,
)
CHECKPOINT = Format(
    "spikemnist-stdp-checkpoint-1",
    "checkpoint of an STDP classifier",
    "Delete it to start at the first image",
)


def write(
    path: str | os.PathLike[str],
    kind: Format,
    arrays: Mapping[str, Array],
    metadata: Mapping[str, Any],
) -> Path:
    """Write arrays and plain values atomically: see `spikemnist._tensor_files.write`."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    return _tensor_files.write(path, kind, tensors, metadata)


def layer_arrays(
    tensors: Mapping[str, Tensor], neurons: int, classes: int, responses: Sequence[str]
) -> dict[str, Array]:
    """Return the arrays of a layer of neurons and of its responses to classes.

    Raises
    ------
    ValueError
        For an unexpected name, shape or dtype.
    """
    weights, before = tensors.get("weights"), tensors.get(f"{BEFORE}.spikes")
    features = weights.shape[-1] if weights is not None and weights.dim() else 0
    windows = before.shape[:1] if before is not None and before.dim() == 3 else ()
    shapes: dict[str, tuple[int, ...]] = {"weights": (neurons, features), "theta": (neurons,)}
    for name in responses:
        axis = windows if name == BEFORE else ()
        shapes |= {f"{name}.spikes": (*axis, classes, neurons), f"{name}.images": (*axis, classes)}
    return checked_arrays(tensors, shapes)


def checked_arrays(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    """Return tensors as arrays; raise a ValueError for an unexpected name, shape or dtype."""
    expected = {}
    for name, shape in shapes.items():
        dtype = torch.int64 if name.endswith(COUNTS) else torch.float32
        expected[name] = torch.empty(shape, dtype=dtype, device="meta")
    check_tensors(tensors, expected)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def classes_of(stored: object) -> Array:
    """Return the classes stored in a file; raise unless they are sorted numbers or strings."""
    found = np.array(stored)
    if found.ndim != 1 or found.dtype.kind not in "biufU" or len(found) < 2:
        raise ValueError("classes must be a list of two numbers or strings or more")
    if not np.array_equal(np.unique(found), found):
        raise ValueError("classes must be sorted, each of them once")
    return found


def fingerprint(images: Tensor, labels: Array) -> list[int]:
    """Return numbers that, in all likelihood, differ for other images or labels."""
    return [len(images), zlib.crc32(images.numpy().tobytes()), zlib.crc32(labels.tobytes())]

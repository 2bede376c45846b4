"""Classifiers and unfinished runs on disk: their formats, and checks of their contents."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist import _tensor_files
from spikemnist._tensor_files import Format, check_tensors
from spikemnist.plasticity.learning import BEFORE

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[Any]

_AGAIN = "Copy it again from where it is sound, or fit the classifier again"
CLASSIFIER = Format(
    "spikemnist-stdp-1",
    "STDP classifier",
    ("parameters", "classes", "progress", "pace"),
    _AGAIN,
    later=("pace",),
)
CONVOLUTIONAL = Format(
    "spikemnist-conv-stdp-1",
    "convolutional STDP classifier",
    ("parameters", "classes", "shape"),
    _AGAIN,
)
CHECKPOINT = Format(
    "spikemnist-stdp-checkpoint-1",
    "checkpoint of an STDP classifier",
    ("run", "progress"),
    "Delete it to start at the first image",
)


def write(
    path: str | os.PathLike[str],
    kind: Format,
    arrays: Mapping[str, Array],
    metadata: Mapping[str, Any],
) -> Path:
    """Write arrays and plain values, atomically: see `spikemnist._tensor_files.write`."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    return _tensor_files.write(path, kind, tensors, metadata)


def layer_arrays(
    tensors: Mapping[str, Tensor], neurons: int, classes: int, responses: Sequence[str]
) -> dict[str, Array]:
    """Return the arrays of a layer of neurons and of its responses to classes.

    Raises
    ------
    ValueError
        When one has another name, shape or dtype.
    """
    weights = tensors.get("weights")
    features = weights.shape[-1] if weights is not None and weights.dim() else 0
    expected = {"weights": _like(torch.float32, neurons, features)}
    expected["theta"] = _like(torch.float32, neurons)
    for name in responses:
        windows = _windows(tensors) if name == BEFORE else ()
        expected[f"{name}.spikes"] = _like(torch.int64, *windows, classes, neurons)
        expected[f"{name}.images"] = _like(torch.int64, *windows, classes)
    return _arrays(tensors, expected)


def _windows(tensors: Mapping[str, Tensor]) -> Sequence[int]:
    """Return the windows that lie before, as a shape: files of version 0.1.0 hold one."""
    spikes = tensors.get(f"{BEFORE}.spikes")
    return spikes.shape[:1] if spikes is not None and spikes.dim() == 3 else ()


def feature_arrays(
    tensors: Mapping[str, Tensor], weights: Sequence[int], cells: int, classes: int
) -> dict[str, Array]:
    """Return the arrays of features with ``weights`` of a shape, and of their readout.

    Raises
    ------
    ValueError
        When one has another name, shape or dtype.
    """
    expected = {
        "weights": _like(torch.float32, *weights),
        "wins": _like(torch.int64, weights[0]),
        "readout.weight": _like(torch.float32, classes, cells * weights[0]),
        "readout.bias": _like(torch.float32, classes),
    }
    return _arrays(tensors, expected)


def _like(dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _arrays(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Array]:
    check_tensors(tensors, expected)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def classes_of(stored: object) -> Array:
    """Return the classes that a file names; raise unless they are sorted numbers or strings."""
    found = np.array(stored)
    if found.ndim != 1 or found.dtype.kind not in "biufU" or len(found) < 2:
        raise ValueError("classes must be a list of two numbers or strings or more")
    if not np.array_equal(np.unique(found), found):
        raise ValueError("classes must be sorted, each of them once")
    return found


def new_or_resumed(path: str | os.PathLike[str] | None, *, resume: bool) -> Path | None:
    """Return the file of a checkpoint, which must not be there unless it is resumed."""
    if path is None:
        if resume:
            raise ValueError("resume=True needs the checkpoint= file to resume from")
        return None
    file = Path(path)
    if file.exists() and not resume:
        raise FileExistsError(
            f"{file} holds an earlier run: pass resume=True to continue it, or another file"
        )
    return file


def fingerprint(images: Tensor, labels: Array) -> list[int]:
    """Return numbers that differ, in all likelihood, for other images or labels."""
    return [len(images), zlib.crc32(images.numpy().tobytes()), zlib.crc32(labels.tobytes())]

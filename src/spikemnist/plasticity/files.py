"""Classifiers and unfinished runs on disk: safetensors with JSON metadata. Loading runs no code."""

from __future__ import annotations

import contextlib
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from spikemnist import __version__
from spikemnist._atomic import write_atomically

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[Any]

CLASSIFIER, CHECKPOINT = "spikemnist-stdp-1", "spikemnist-stdp-checkpoint-1"
CONVOLUTIONAL = "spikemnist-conv-stdp-1"


def write(
    path: str | os.PathLike[str],
    kind: str,
    arrays: Mapping[str, Array],
    metadata: Mapping[str, Any],
) -> Path:
    """Write arrays and plain values, atomically."""
    whole = {"format": kind, "version": __version__, **metadata}
    text = {"spikemnist": json.dumps(whole)}
    dense = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return write_atomically(path, lambda file: safetensors.numpy.save_file(dense, file, text))


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read what `write` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is damaged, or not of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get("spikemnist", "{}")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata: dict[str, Any] = json.loads(text)
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    found = metadata.get("format")
    if found != kind:
        raise ValueError(
            f"{path} has format {found!r}, written by version {metadata.get('version')}; "
            f"expected {kind!r}"
        )
    return arrays, metadata


@contextlib.contextmanager
def described(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what goes wrong with the contents of a file into a `ValueError` that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"{path} does not hold the classifier that it describes: {error}"
        ) from error


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

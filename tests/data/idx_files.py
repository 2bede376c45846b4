"""IDX files, made here by their definition."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np

from spikemnist.data.mnist import IDX_FILES


def idx(values: Any) -> bytes:
    """Two zeros, 8 for unsigned bytes, the number of dimensions, each size, the values."""
    array = np.asarray(values, np.uint8)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def some(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Draw images, by default of 28 x 28 pixels."""
    return np.random.default_rng(seed).integers(0, 256, (n, *(shape or (28, 28))), np.uint8)


def idx_set(
    prefix: str = "", train: int = 8, test: int = 4, classes: int = 4, first: int = 0, seed: int = 0
) -> dict[str, bytes]:
    """Return the contents of the four files of a set, by their names."""
    images = some(train, seed=seed), some(test, seed=seed + 1)
    labels = [np.arange(n) % classes + first for n in (train, test)]
    contents = images[0], labels[0], images[1], labels[1]
    return {f"{prefix}{name}": idx(part) for name, part in zip(IDX_FILES, contents, strict=True)}


def packed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in files.items()}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder

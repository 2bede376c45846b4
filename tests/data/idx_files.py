"""Writes IDX files, sound and broken ones, for the tests to read."""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def encode(values: Tensor) -> bytes:
    header = struct.pack(f">I{values.ndim}I", 0x0800 | values.ndim, *values.shape)
    return header + values.numpy().tobytes()


def small_set(seed: int = 0) -> dict[str, bytes]:
    """Give a data set like MNIST with 20 training and 10 test images."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int, *shape: int) -> bytes:
        return encode(torch.randint(high, shape, generator=generator, dtype=torch.uint8))

    contents = (draw(256, 20, 28, 28), draw(10, 20), draw(256, 10, 28, 28), draw(10, 10))
    return dict(zip(FILES, contents, strict=True))


def write_set(folder: Path, contents: dict[str, bytes], *, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
        else:
            (folder / name).write_bytes(data)

"""Read what `replay.c` prints, the program that runs an export in C.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Spikes = list[NDArray[Any]]
    """Spikes of each layer, ``[T, B, ...]``."""

REPLAY = Path(__file__).with_name("replay.c")


def from_lines(lines: Sequence[str], steps: int, shapes: Sequence[tuple[int, ...]]) -> Spikes:
    """Return spikes ``[T, B, ...]`` from the output of `replay.c`, which has channels last.

    Spikes of a convolution are returned as ``[T, B, C, H, W]``.
    """
    sizes = [math.prod(shape) for shape in shapes]
    found = [np.zeros((steps, len(lines), size), np.float32) for size in sizes]
    for sample, line in enumerate(lines):
        parts = line.partition(">")[0].split("|")[1:]
        for i, part in enumerate(parts):
            t, layer = divmod(i, len(shapes))
            found[layer][t, sample, [int(word) for word in part.split()]] = 1
    return [channels_first(spikes, shape) for spikes, shape in zip(found, shapes, strict=True)]


def channels_first(spikes: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Reshape spikes ``[T, B, H * W * C]`` of shape ``(H, W, C)`` to ``[T, B, C, H, W]``."""
    return np.moveaxis(spikes.reshape(*spikes.shape[:2], *shape), -1, 2)

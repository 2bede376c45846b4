"""What a code makes of each pixel, before it is laid out in time.

Shapes: ``B`` batch, ``F`` pixels of an image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

if TYPE_CHECKING:
    from torch import Tensor


class PixelCode(Protocol):
    """An encoder that begins with a function of the pixel. Equal ones have the same function."""

    def __hash__(self) -> int: ...

    def _pixel_code(self, images: Tensor) -> Tensor:
        """Return one float32 for each pixel, after checking that these are images."""
        ...


class Ramp(NamedTuple):
    """The timestep ``min((x - 1) * slope, latest) + first`` of a pixel x, to the nearest.

    One below ``silent_below`` has none.
    """

    slope: float
    latest: float
    first: float
    silent_below: float


class Coded(NamedTuple):
    """A number for each pixel: ``levels``, or ``table[levels]`` where there is a table.

    A byte has 256 values. Their numbers are computed once, on the CPU, so that bytes have the same
    spikes on every device, and the images stay bytes.
    """

    levels: Tensor
    table: Tensor | None = None

    def numbers(self) -> Tensor:
        """Return them as float32 ``[B, F]``, on the device of the images."""
        if self.table is None:
            return self.levels
        return self.table.to(self.levels.device)[self.levels.long()]


def code_pixels(encoder: PixelCode, images: Tensor) -> Coded:
    """Return what an encoder makes of each pixel of images ``[B, ...]``, as ``[B, F]``."""
    if isinstance(images, torch.Tensor) and images.dtype == torch.uint8:
        return Coded(by_sample(images), _table(encoder))
    return Coded(by_sample(encoder._pixel_code(images)))


def by_sample(images: Tensor) -> Tensor:
    """Return images ``[B, ...]`` as ``[B, F]``, contiguous."""
    return images.reshape(images.shape[:1].numel(), images.shape[1:].numel()).contiguous()


@lru_cache(maxsize=64)
def _table(encoder: PixelCode) -> Tensor:
    return encoder._pixel_code(torch.arange(256, dtype=torch.uint8, device="cpu"))

"""The number that an encoder computes for each pixel, before it becomes spikes in time.

Shapes: ``B`` batch, ``F`` pixels of an image.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class PixelCode(Protocol):
    """An encoder that starts with a function of each pixel. Equal encoders have equal functions."""

    def __hash__(self) -> int: ...

    def _pixel_code(self, images: Tensor) -> Tensor:
        """Check images and return one float32 for each pixel."""
        ...


class Ramp(NamedTuple):
    """The timestep of a pixel x: ``min((x - 1) * slope, latest) + first``, rounded.

    A pixel below ``silent_below`` has none.
    """

    slope: float
    latest: float
    first: float
    silent_below: float


class CodedPixels(NamedTuple):
    """A number for each pixel: ``levels``, or ``table[levels]`` if there is a table.

    The table has the numbers of the 256 values of a byte. It is computed once, on the CPU, so that
    uint8 images have the same spikes on every device and stay uint8.
    """

    levels: Tensor
    table: Tensor | None = None

    def numbers(self) -> Tensor:
        """Return the numbers as float32 ``[B, F]``, on the device of the images."""
        if self.table is None:
            return self.levels
        return self.table.to(self.levels.device)[self.levels.long()]


def code_pixels(encoder: PixelCode, images: Tensor) -> CodedPixels:
    """Return the numbers ``[B, F]`` of an encoder for the pixels of images ``[B, ...]``."""
    if isinstance(images, torch.Tensor) and images.dtype == torch.uint8:
        # A compiler sees through the function, not through its cache.
        table = _table.__wrapped__ if torch.compiler.is_compiling() else _table
        return CodedPixels(by_sample(images), table(encoder))
    return CodedPixels(by_sample(encoder._pixel_code(images)))


def by_sample(images: Tensor) -> Tensor:
    """Return images ``[B, ...]`` as ``[B, F]``, contiguous."""
    return images.reshape(images.shape[:1].numel(), images.shape[1:].numel()).contiguous()


@lru_cache(maxsize=64)
def _table(encoder: PixelCode) -> Tensor:
    return encoder._pixel_code(torch.arange(256, dtype=torch.uint8, device="cpu"))

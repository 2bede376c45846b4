"""Checks and digests for all rooms: of tensors, of images, and of numbers that must be finite."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikemnist._arguments import must_be

Array = NDArray[Any]
"""An array of NumPy, whatever its dtype."""


def check_tensor(value: object, name: str, shape: str) -> None:
    """Raise a `TypeError` unless a value is a tensor.

    Parameters
    ----------
    value : object
        Value to check.
    name : str
        Name of the argument.
    shape : str
        Expected shape, such as ``"[T, B, F]"``.
    """
    if isinstance(value, torch.Tensor):
        return
    how = ""
    if isinstance(value, np.ndarray):
        how = "; convert it with torch.from_numpy"
    elif isinstance(value, (list, tuple)):
        how = "; convert numbers with torch.tensor, and tensors with torch.stack"
    raise TypeError(f"{name} must be a torch.Tensor {shape}; got a {type(value).__name__}{how}")


def check_images(images: torch.Tensor) -> None:
    """Raise a `ValueError` unless images are uint8, or floating in [0, 1]."""
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise must_be("images", "uint8 in 0..255 or floating in [0, 1]", images)
    if images.numel():
        low, high = torch.stack(images.detach().aminmax()).tolist()  # a device is waited for once
        if not (low >= 0 and high <= 1):  # written so that NaN fails
            remedy = "Divide by the maximum, or pass uint8 images"
            if not 0 <= low <= high < float("inf"):  # or NaN
                remedy = "Undo the normalisation, or use (x - min) / (max - min) of finite images"
            raise ValueError(
                f"floating images must lie in [0, 1]; got values in [{low:g}, {high:g}]. {remedy}"
            )


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Return the name of the first tensor with NaN or infinity, or None."""
    return next((name for name, x in tensors.items() if not bool(torch.isfinite(x).all())), None)


def digest_of(named: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Return a digest of the names, shapes, dtypes and numbers of tensors."""
    digest = hashlib.sha256()
    for name, tensor in named:
        digest.update(f"{name}{list(tensor.shape)} {tensor.dtype}".encode())
        numbers = tensor.detach().cpu().contiguous().view(-1)
        digest.update(numbers.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]

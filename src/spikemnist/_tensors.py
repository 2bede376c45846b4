"""Checks for all subpackages: that a value is a tensor, and that its numbers are finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Return the name of the first tensor with NaN or infinity, or None."""
    return next((name for name, x in tensors.items() if not bool(torch.isfinite(x).all())), None)

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
        how = "; torch.from_numpy makes one of it"
    elif isinstance(value, (list, tuple)):
        how = "; torch.tensor makes one of numbers, torch.stack of tensors"
    raise TypeError(f"{name} is a {type(value).__name__}; expected a torch.Tensor {shape}{how}")


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Return the name of the first tensor with NaN or infinity, or None."""
    return next((name for name, x in tensors.items() if not bool(torch.isfinite(x).all())), None)

"""Check that an argument is a tensor, with the same message in every room."""

from __future__ import annotations

import numpy as np
import torch


def check_tensor(value: object, name: str, shape: str) -> None:
    """Raise a `TypeError` unless a value is a tensor.

    Parameters
    ----------
    value : object
        What came.
    name : str
        Name of the argument.
    shape : str
        Shape that was expected, such as ``"[T, B, F]"``.
    """
    if isinstance(value, torch.Tensor):
        return
    how = ""
    if isinstance(value, np.ndarray):
        how = "; torch.from_numpy makes one of it"
    elif isinstance(value, (list, tuple)):
        how = "; torch.tensor makes one of numbers, torch.stack of tensors"
    raise TypeError(f"{name} is a {type(value).__name__}; expected a torch.Tensor {shape}{how}")

"""Select the device to compute on: CUDA, Apple's MPS or the CPU, automatically or by name."""

from __future__ import annotations

import os

import torch
from torch import nn


def available_devices() -> tuple[str, ...]:
    """List the devices of this machine.

    Returns
    -------
    tuple of str
        Names for `select_device`, in order of preference. The last one is ``"cpu"``.

    Examples
    --------
    >>> available_devices()[-1]
    'cpu'
    """
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return (*cuda, *mps, "cpu")


def select_device(
    device: str | torch.device = "auto", *, dtype: torch.dtype = torch.float32
) -> torch.device:
    """Select the device to compute on.

    Parameters
    ----------
    device : str or torch.device, default "auto"
        Device to select. ``"auto"`` takes CUDA, then MPS, then the CPU. Any other value names a
        device. Processes that ``torchrun`` has started take a CUDA device each. CUDA and MPS have
        not been tried yet.
    dtype : torch.dtype, default torch.float32
        Dtype of the computation. ``"auto"`` skips MPS for float64, which it lacks.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If this machine lacks the device, with a list of its devices; for float64 on MPS.

    Examples
    --------
    >>> select_device("cpu")
    device(type='cpu')
    """
    names = available_devices()
    if device == "auto":
        cuda = [name for name in names if name.startswith("cuda")]
        if cuda:
            return torch.device(cuda[int(os.environ.get("LOCAL_RANK", "0")) % len(cuda)])
        # MPS has neither float64 nor communication between processes.
        with_mps = dtype != torch.float64 and int(os.environ.get("WORLD_SIZE", "1")) == 1
        return torch.device(names[0] if with_mps else "cpu")
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(_absent(device, names)) from error
    name = str(target) if target.index else "cuda:0" if target.type == "cuda" else target.type
    if name not in names:
        raise ValueError(_absent(device, names))
    if target.type == "mps" and dtype == torch.float64:
        raise ValueError("mps has no float64: convert the model with .float(), or use 'cpu'")
    return target


def parameter_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of a model's parameters; float32 if it has none."""
    return next((p.dtype for p in model.parameters()), torch.float32)


def _absent(device: object, names: tuple[str, ...]) -> str:
    return f"device '{device}' is not available; choose from {', '.join(names)} and auto"

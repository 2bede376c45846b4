"""Select the device to compute on: CUDA, Apple's MPS or the CPU, automatically or by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from spikemnist.training.fastest import fastest_device

if TYPE_CHECKING:
    from torch import nn

    from spikemnist.encoding import Encoder


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
    device: str | torch.device = "auto",
    *,
    dtype: torch.dtype = torch.float32,
    model: nn.Module | None = None,
    encoder: Encoder | None = None,
) -> torch.device:
    """Select the device to compute on.

    Parameters
    ----------
    device : str or torch.device, default "auto"
        Device to select. ``"auto"`` takes CUDA, then MPS, then the CPU. ``"fastest"`` times a few
        training steps on each, prints a line, and keeps the answer for this machine and network.
        Any other value names a device. Processes that ``torchrun`` has started take a CUDA device
        each.
    dtype : torch.dtype, default torch.float32
        Dtype of the computation. ``"auto"`` and ``"fastest"`` skip MPS for float64, which it lacks.
    model, encoder : torch.nn.Module and Encoder, default None
        Model and encoder that ``"fastest"`` times, on images of 28 x 28 pixels.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If this machine lacks the device, with a list of its devices; for float64 on MPS; for
        ``"fastest"`` without model and encoder, or under ``torchrun``.

    Examples
    --------
    >>> select_device("cpu")
    device(type='cpu')
    """
    present = available_devices()
    if device == "fastest":
        if model is None or encoder is None:
            raise ValueError("device='fastest' needs model= and encoder=, which it times")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ValueError("device='fastest' times one process; use 'auto' under torchrun")
        usable = [name for name in present if name != "mps" or dtype != torch.float64]
        return torch.device(fastest_device(model, encoder, usable))
    if device == "auto":
        cuda = [name for name in present if name.startswith("cuda")]
        if cuda:
            return torch.device(cuda[int(os.environ.get("LOCAL_RANK", "0")) % len(cuda)])
        # MPS has neither float64 nor communication between processes.
        with_mps = dtype != torch.float64 and int(os.environ.get("WORLD_SIZE", "1")) == 1
        return torch.device(present[0] if with_mps else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(_absent(device, present)) from error
    name = f"cuda:{chosen.index or 0}" if chosen.type == "cuda" else chosen.type
    if name not in present:
        raise ValueError(_absent(device, present))
    if chosen.type == "mps" and dtype == torch.float64:
        raise ValueError("mps has no float64: convert the model with .float(), or use 'cpu'")
    return chosen


def parameter_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of a model's parameters; float32 if it has none."""
    return next((p.dtype for p in model.parameters()), torch.float32)


def _absent(device: object, present: tuple[str, ...]) -> str:
    return f"device '{device}' is not available; choose from {', '.join(present)} and 'auto'"

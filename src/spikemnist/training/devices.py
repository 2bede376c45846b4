"""Select the device to compute on: CUDA, Apple's MPS or the CPU, automatically or by name."""

from __future__ import annotations

import copy
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._progress import note
from spikemnist._seeds import seeded
from spikemnist.models.network import SpikingNetwork
from spikemnist.training.backpropagation import backpropagate

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikemnist.models import Classifier
    from spikemnist.training.losses import Loss

    Batch = tuple[Any, Tensor]

UNTIMED, TIMED = 2, 5
"""Training steps: the first ones, which compile kernels, and the ones whose median counts."""

LEAD = 1.2
"""Ratio of the times of a step from which the CPU is preferred to MPS."""


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
        device. Processes that ``torchrun`` has started take a CUDA device each.
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
    present = available_devices()
    if device == "auto":
        cuda = [name for name in present if name.startswith("cuda")]
        if cuda:
            return torch.device(cuda[int(os.environ.get("LOCAL_RANK", "0")) % len(cuda)])
        # MPS has neither float64 nor communication between processes.
        with_mps = dtype != torch.float64 and int(os.environ.get("WORLD_SIZE", "1")) == 1
        return torch.device(present[0] if with_mps else "cpu")
    try:
        target = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(_absent(device, present)) from error
    name = f"cuda:{target.index or 0}" if target.type == "cuda" else target.type
    if name not in present:
        raise ValueError(_absent(device, present))
    if target.type == "mps" and dtype == torch.float64:
        raise ValueError("mps has no float64: convert the model with .float(), or use 'cpu'")
    return target


def faster_on_a_mac(
    classifier: Classifier, batch: Batch, loss: Loss, *, progress: bool
) -> torch.device:
    """Return MPS, or the CPU if it trains a network faster by a fifth.

    MPS steps through time, whereas kernels of the CPU work only where a spike is. A few training
    steps are timed on both, and a line on standard error shows the result. The classifier is not
    changed. A network of another kind is not timed.
    """
    mps, cpu = torch.device("mps"), torch.device("cpu")
    if not isinstance(classifier.network, SpikingNetwork):
        return mps
    on_mps, on_cpu = (step_time(classifier, batch, loss, device) for device in (mps, cpu))
    device = cpu if LEAD * on_cpu < on_mps else mps
    note(
        f"a training step takes {1e3 * on_mps:.1f} ms on mps, {1e3 * on_cpu:.1f} ms on cpu: "
        f"device {device}",
        progress=progress,
    )
    return device


def step_time(classifier: Classifier, batch: Batch, loss: Loss, device: torch.device) -> float:
    """Return the median time of a training step of a copy of the network, in seconds."""
    copy_on_device = copy.deepcopy(classifier).to(device).train()
    samples, labels = batch[0].to(device), batch[1].to(device)
    optimizer = torch.optim.Adam(copy_on_device.parameters())
    times = []
    with seeded(0, device) as generator:
        for _ in range(UNTIMED + TIMED):
            start = time.perf_counter()
            optimizer.zero_grad()
            spikes = copy_on_device.encode(samples, generator=generator)
            backpropagate(copy_on_device.network, spikes, labels, loss)
            optimizer.step()
            next(copy_on_device.parameters()).flatten()[:1].cpu()  # waits for the device
            times.append(time.perf_counter() - start)
    return statistics.median(times[UNTIMED:])


def parameter_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of a model's parameters; float32 if it has none."""
    return next((p.dtype for p in model.parameters()), torch.float32)


def _absent(device: object, present: tuple[str, ...]) -> str:
    return f"device '{device}' is not available; choose from {', '.join(present)} and auto"

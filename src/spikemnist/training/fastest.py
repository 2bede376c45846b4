"""Find the device on which a network trains fastest, by measurement.

Shapes: ``B`` batch.
"""

from __future__ import annotations

import copy
import hashlib
import json
import platform
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import torch
from platformdirs import user_cache_path

from spikemnist import __version__
from spikemnist._atomic import write_atomically
from spikemnist.training.losses import cross_entropy
from spikemnist.training.seeds import seeded
from spikemnist.training.steps import backpropagate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from spikemnist.encoding import Encoder

BATCH = 128
UNTIMED, TIMED = 2, 5
"""Training steps: the first ones, which compile kernels, and the ones whose median counts."""


def fastest_device(model: nn.Module, encoder: Encoder, devices: Sequence[str]) -> str:
    """Return the device on which a training step takes the least time.

    The measured times are printed to standard error. The answer is kept in the user's cache folder,
    for this machine, network and encoder.

    Parameters
    ----------
    model : torch.nn.Module
        Model that takes encoded images ``[B, 28, 28]``. It is not changed.
    encoder : Encoder
        Encoder of images.
    devices : sequence of str
        Devices to compare, at least one.

    Returns
    -------
    str
        One of the devices.
    """
    if len(devices) == 1:
        return devices[0]
    file = _file(model, encoder, devices)
    seconds = _remembered(file, devices)
    if seconds is None:
        seconds = {device: seconds_of_step(model, encoder, device) for device in devices}
        _remember(file, seconds)
    fastest = min(devices, key=lambda device: seconds[device])
    found = ", ".join(f"{device} {1e3 * seconds[device]:.1f} ms" for device in devices)
    if sys.stderr is not None:
        print(f"spikemnist: a training step takes {found}: device {fastest}", file=sys.stderr)
    return fastest


def seconds_of_step(model: nn.Module, encoder: Encoder, device: str) -> float:
    """Return the median time of a training step of 128 random images; infinite if the step fails.

    Raises
    ------
    ValueError
        If the encoder or the network does not take such images.
    """
    where = torch.device(device)
    random = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, 28, 28, generator=random).to(where)
    labels = torch.randint(10, (BATCH,), generator=random).to(where)
    seconds = []
    try:
        trained = copy.deepcopy(model).to(where).train()
        optimizer = torch.optim.Adam(trained.parameters(), lr=0.0)
        with seeded(0, where) as generator:
            for _ in range(UNTIMED + TIMED):
                started = time.perf_counter()
                optimizer.zero_grad()
                spikes = encoder(images, generator=generator)
                _, loss = backpropagate(trained, spikes, labels, cross_entropy)
                optimizer.step()
                _read(loss, next(trained.parameters()))
                seconds.append(time.perf_counter() - started)
    except (RuntimeError, NotImplementedError):  # too little memory, or a missing operator
        return float("inf")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"device='fastest' times a step on images of 28 x 28 pixels ({error}): name a device"
        ) from error
    return statistics.median(seconds[UNTIMED:])


def _read(*tensors: Tensor) -> None:
    """Wait until a device has computed these tensors."""
    for tensor in tensors:
        tensor.detach().flatten()[:1].cpu()


def _file(model: nn.Module, encoder: Encoder, devices: Sequence[str]) -> Path:
    """Return the file of the answer, named by a hash of everything that the answer depends on."""
    names = [torch.cuda.get_device_name(d) if d.startswith("cuda") else d for d in devices]
    parts = (__version__, torch.__version__, platform.node(), platform.processor(), names)
    shapes = [tuple(parameter.shape) for parameter in model.parameters()]
    text = repr((*parts, type(model).__name__, shapes, encoder, torch.get_num_threads()))
    return (
        user_cache_path("spikemnist", appauthor=False)
        / "devices"
        / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    )


def _remembered(file: Path, devices: Sequence[str]) -> dict[str, float] | None:
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        return {device: float(found[device]) for device in devices}
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None


def _remember(file: Path, seconds: dict[str, float]) -> None:
    """Write an answer to its file. If this fails, the next run measures again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(seconds)
        write_atomically(file, lambda new: new.write_text(text, encoding="utf-8"))
    except OSError:
        pass

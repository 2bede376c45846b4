"""Running figures of an epoch, and what they warn of.

Shapes: ``B`` batch, ``L`` layers.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikemnist.models import Record

SATURATED = 0.95
"""Share of all possible spikes from which on a layer counts as saturated."""


class EpochMonitor:
    """Sums of what an epoch's batches showed."""

    def __init__(self) -> None:
        self.samples = 0
        self.batches = 0
        self._loss = 0.0
        self._correct = 0
        self._spikes: dict[str, int] = {}
        self._possible: dict[str, int] = {}
        self._readout = ""

    def add(self, record: Record, labels: Tensor, loss: float) -> None:
        """Count one batch."""
        self.batches += 1
        self._readout = record.readout
        self.samples += len(labels)
        self._loss += loss * len(labels)
        self._correct += int((record.predictions == labels).sum())
        fired = record.spike_counts.sum(1).tolist()
        for (name, neurons), count in zip(record.sizes.items(), fired, strict=True):
            opportunities = neurons * len(record.spikes) * len(labels)
            self._spikes[name] = self._spikes.get(name, 0) + count
            self._possible[name] = self._possible.get(name, 0) + opportunities

    @property
    def loss(self) -> float:
        """Mean loss per sample."""
        return self._loss / self.samples

    @property
    def accuracy(self) -> float:
        """Share of right predictions."""
        return self._correct / self.samples

    @property
    def spikes_per_sample(self) -> float:
        """Mean number of spikes for one sample, all layers together."""
        return sum(self._spikes.values()) / self.samples

    def warn(self) -> None:
        """Warn of layers that said nothing, or nothing but spikes, in the whole epoch.

        A silent output layer is none to warn of where the readout reads its membranes.
        """
        for name, count in self._spikes.items():
            if count == 0 and not (name == "output" and self._readout.endswith("_membrane")):
                warnings.warn(
                    f"layer {name!r} did not fire once in an epoch: lower its threshold, raise "
                    "beta, or feed it more spikes",
                    stacklevel=3,
                )
            elif count > SATURATED * self._possible[name]:
                warnings.warn(
                    f"layer {name!r} fired at more than {SATURATED:.0%} of all opportunities in an "
                    "epoch: raise its threshold, lower beta, or feed it fewer spikes",
                    stacklevel=3,
                )


def check_finite(
    loss: Tensor, model: nn.Module, spikes: Tensor, *, epoch: int, batch: int, lr: float
) -> float:
    """Return the loss as a number; a loss that is none stops the run with its likely cause.

    Raises
    ------
    FloatingPointError
        When the loss is NaN or infinite.
    """
    value = float(loss.detach())
    if math.isfinite(value):
        return value
    raise FloatingPointError(
        f"the loss became {value} in epoch {epoch}, batch {batch}. Likely cause: "
        f"{_likely_cause(model, spikes, lr)}. The last checkpoint, if any, is kept"
    )


def _likely_cause(model: nn.Module, spikes: Tensor, lr: float) -> str:
    if spikes.is_floating_point() and not bool(spikes.isfinite().all()):
        return "the encoder returned values that are not finite"
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return (
                f"the parameter {name} is no longer finite, so the learning rate (now {lr:g}) is "
                "too high: lower lr or set clip_norm"
            )
    return (
        f"scores too large for the loss, by a learning rate (now {lr:g}) that is too high or a "
        "loss function that divides by zero: lower lr, set clip_norm, or check the loss"
    )

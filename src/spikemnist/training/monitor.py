"""Running metrics of an epoch, and the errors that they lead to.

Shapes: ``B`` batch, ``L`` layers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from spikemnist._tensors import not_finite
from spikemnist.models.layer_table import SATURATED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from spikemnist.models import Record
    from spikemnist.training.processes import Processes


GAP = 0.05
"""Largest lead of the training accuracy over the validation accuracy without a warning."""

REMEDY = ": diagnose(classifier, train), or train --diagnose, says why and what to try"


class TrainingWarning(UserWarning):
    """Warning of `fit` that the network does not learn as it could.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", TrainingWarning)  # `fit` stops at the first one
    """


def batch_counts(record: Record, labels: Tensor) -> Tensor:
    """Return the number of correct predictions in a batch, and of spikes in each layer."""
    correct = (record.predictions == labels).sum()
    return torch.cat([correct.view(1), record.spike_counts.sum(1)])


class EpochMonitor:
    """Sums over the batches of an epoch."""

    def __init__(self) -> None:
        self.samples: int = 0
        self.batches: int = 0
        self.correct: int = 0
        self._loss = 0.0
        self._spikes: dict[str, int] = {}
        self._possible: dict[str, int] = {}
        self._scores = torch.empty(0, 0)

    def add(self, record: Record, samples: int, loss: float, counts: Sequence[int]) -> None:
        """Add one batch, with its `batch_counts`; without samples, another process counts it."""
        self.batches += 1
        self._scores = record.scores.detach()
        if not samples:
            return
        self.samples += samples
        self._loss += loss * samples
        self.correct += counts[0]
        for (name, neurons), count in zip(record.sizes.items(), counts[1:], strict=True):
            opportunities = neurons * len(record.spikes) * samples
            self._spikes[name] = self._spikes.get(name, 0) + count
            self._possible[name] = self._possible.get(name, 0) + opportunities

    def add_up(self, processes: Processes, device: torch.device) -> None:
        """Add the sums of all processes."""
        if processes.size == 1:
            return
        names = list(self._spikes)
        sums = [self.samples, self._loss, self.correct]
        sums += [self._spikes[name] for name in names] + [self._possible[name] for name in names]
        total = processes.add(torch.tensor(sums, dtype=torch.float64, device=device)).tolist()
        self.samples, self._loss, self.correct = int(total[0]), total[1], int(total[2])
        self._spikes = dict(zip(names, map(int, total[3:]), strict=False))
        self._possible = dict(zip(names, map(int, total[3 + len(names) :]), strict=True))

    @property
    def loss(self) -> float:
        """Mean loss per sample."""
        return self._loss / max(self.samples, 1)

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return self.correct / max(self.samples, 1)

    @property
    def spikes_per_sample(self) -> float:
        """Mean number of spikes for one sample, all layers together."""
        return sum(self._spikes.values()) / self.samples

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self._scores.shape[1]

    @property
    def needed(self) -> set[str]:
        """Layers that have to fire: all but an output with scores that differ for most images."""
        decides = (self._scores != self._scores[:, :1]).any(1).float().mean() > 0.5
        return {*self._spikes} - ({"output"} if decides else set())

    @property
    def silent(self) -> list[str]:
        """Layers that have to fire, and did not once in the epoch."""
        return [name for name in self._spikes if name in self.needed and not self._spikes[name]]

    def findings(self) -> Iterator[str]:
        """Yield a finding for the first silent layer, and for layers that nearly always fire.

        The layers behind a silent one get no input.
        """
        for name in self.silent[:1]:
            yield f"{name} did not fire in an epoch{REMEDY}"
        for name, count in self._spikes.items():
            if count > SATURATED * self._possible[name]:
                yield f"{name} fired at nearly every timestep of an epoch{REMEDY}"


def of_validation(accuracy: float, validation: float, samples: int, classes: int) -> Iterator[str]:
    """Yield a finding if the training accuracy is far above that of some validation samples."""
    # Agresti and Coull add two right and two wrong answers. Else 0 right of 10 would have no error.
    share = (validation * samples + 2) / (samples + 4)
    error = math.sqrt(share * (1 - share) / (samples + 4))
    if accuracy - validation > GAP + 3 * error:
        cause = "overfits. Remedies: augment=, dropout, weight_decay=, fewer epochs or more images"
        if validation < 0.1 + 0.9 / classes:
            cause = "guesses. Do labels and grey values of the validation data mean the same?"
        accuracies = f"training accuracy {accuracy:.1%}, validation accuracy {validation:.1%}"
        yield f"{accuracies}: the network {cause}"


def check_finite(
    number: float,
    what: str,
    *,
    model: nn.Module,
    lr: float | None,
    place: str,
    spikes: Tensor | None = None,
) -> None:
    """Stop a run whose loss or gradient is not finite, and name the likely cause.

    Parameters
    ----------
    number, what : float and str
        Value to check and its name: a ``"loss"``, or the norm of the ``"gradient"``.
    model : torch.nn.Module
        Model in which to look for the cause.
    lr : float or None
        Learning rate of this batch; None before the first step, of which it is no cause.
    place : str
        Place in the run, such as ``"in epoch 1, batch 2"``.
    spikes : torch.Tensor, default None
        Input in which to look for the cause.

    Raises
    ------
    FloatingPointError
        If the value is NaN or infinite.
    """
    if math.isfinite(number):
        return
    if spikes is not None and not bool(spikes.isfinite().all()):
        cause = "the encoder returned values that are not finite"
    elif name := not_finite(dict(model.named_parameters())):
        cause = f"the parameter {name} is not finite"
        cause += "" if lr is None else f", so the learning rate (now {lr:g}) is too high; lower it"
    else:
        cause = (
            "the scores are too large for the loss, or the loss or its gradient divides by zero; "
            "check the loss"
        )
        if lr is not None:
            cause = f"the learning rate (now {lr:g}) is too high; lower it. Or {cause}"
    raise FloatingPointError(
        f"the {what} became {number} {place}. Likely cause: {cause}. The last checkpoint, if any, "
        "is kept"
    )


def check_weights(model: nn.Module, *, epoch: int, lr: float) -> None:
    """Stop a run whose last step made a weight NaN or infinite, before the weights are saved.

    Earlier steps need no check: the loss or the gradient of the next batch shows such a weight.

    Raises
    ------
    FloatingPointError
        If a parameter holds NaN or infinity.
    """
    if name := not_finite(dict(model.named_parameters())):
        raise FloatingPointError(
            f"the parameter {name} is no longer finite at the end of epoch {epoch}. Likely cause: "
            f"the learning rate (now {lr:g}) is too high; lower it. The last checkpoint, if any, "
            "is kept"
        )

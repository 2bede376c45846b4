"""Metrics of a training: of the batches of an epoch, of an epoch, and of all epochs.

Shapes: ``B`` batch, ``L`` layers.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import ClassVar

import torch
from torch import Tensor, nn

from spikemnist._atomic import write_atomically
from spikemnist._tables import Result, Table
from spikemnist._tensors import not_finite
from spikemnist.models import Record
from spikemnist.models.layer_table import SATURATED

GUESSED = 0.95
"""Share of the loss of guessing that a network which has learned anything is below."""

SHORT = 30
"""Batches of a run below which it is too short to have learned."""

FAR = 5.0
"""Factor of the first loss, or of that of guessing, above which the last one has risen far."""

GAP = 0.05
"""Largest lead of the training accuracy over the validation accuracy without a warning."""

DIAGNOSE = ": diagnose(classifier, train), or train --diagnose, says why and what to try"


class TrainingWarning(UserWarning):
    """Warning of `fit` that the network does not learn as it could.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", TrainingWarning)  # `fit` stops at the first one
    """


class RunningMetrics:
    """Sums over the batches of an epoch.

    Attributes
    ----------
    batches : int
        Number of batches.
    sums : dict of str to float
        Samples, loss, correct predictions, and by layer the spikes and how many were possible.
    """

    def __init__(self) -> None:
        self.batches: int = 0
        self.sums: dict[str, float] = {}
        self._layers: list[str] = []
        self._scores = torch.empty(0, 0)

    def add(self, record: Record, samples: int, loss: float, counts: list[int]) -> None:
        """Add a batch, with its `batch_counts`."""
        self.batches += 1
        self._layers, self._scores = [*record.sizes], record.scores.detach()
        values: dict[str, float] = {"samples": samples, "loss": loss * samples}
        values["correct"], *spikes = counts
        for (name, neurons), count in zip(record.sizes.items(), spikes, strict=True):
            values[f"spikes of {name}"] = count
            values[f"possible of {name}"] = neurons * len(record.spikes) * samples
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0) + value

    def mean(self, name: str) -> float:
        """Return a sum divided by the number of samples."""
        return self.sums.get(name, 0) / max(self.sums.get("samples", 0), 1)

    @property
    def spikes_per_sample(self) -> float:
        """Mean number of spikes for one sample, all layers together."""
        spikes = sum(self.sums[f"spikes of {name}"] for name in self._layers)
        return spikes / self.sums["samples"]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self._scores.shape[1]

    @property
    def needed(self) -> set[str]:
        """Layers that have to fire: all but an output with scores that differ for most images."""
        decides = (self._scores != self._scores[:, :1]).any(1).float().mean() > 0.5
        return {*self._layers} - ({"output"} if decides else set())

    @property
    def silent(self) -> list[str]:
        """Layers that have to fire, and did not once in the epoch."""
        needed = self.needed
        return [n for n in self._layers if n in needed and not self.sums[f"spikes of {n}"]]

    def findings(self) -> Iterator[str]:
        """Yield a finding for the first silent layer, and for layers that nearly always fire.

        The layers behind a silent one get no input.
        """
        for name in self.silent[:1]:
            yield f"{name} did not fire in an epoch{DIAGNOSE}"
        for name in self._layers:
            if self.sums[f"spikes of {name}"] > SATURATED * self.sums[f"possible of {name}"]:
                yield f"{name} fired at nearly every timestep of an epoch{DIAGNOSE}"

    def guess_findings(self, row: EpochMetrics, first: float, entropy: bool) -> Iterator[str]:
        """Yield a finding if the last epoch is no better than a guess, or its loss has risen far.

        A cross-entropy has to be 5 % below that of guessing, unless it fell while the accuracy
        rose. A run of a few batches need not have learned, but its loss may not rise far above the
        ``first`` one.
        """
        guess, long = math.log(self.classes), row.epoch * self.batches >= SHORT
        guesses = row.accuracy < min(2 / self.classes, 0.1 + 0.9 / self.classes)
        if entropy and long and row.loss > GUESSED * guess and (guesses or row.loss > first):
            yield (
                f"the loss of the last epoch, {row.loss:.3g}, is not below that of guessing, ln "
                f"{self.classes} = {guess:.3g}{DIAGNOSE}"
            )
        elif row.loss > FAR * max(first, guess):
            yield f"the loss rose from {first:.3g} to {row.loss:.3g}: lower the learning rate"
        elif guesses and long and not entropy:
            yield f"the accuracy at the end is that of guessing, {row.accuracy:.1%}{DIAGNOSE}"


def batch_counts(record: Record, labels: Tensor) -> Tensor:
    """Return the number of correct predictions in a batch, and of spikes in each layer."""
    correct = (record.predictions == labels).sum()
    return torch.cat([correct.view(1), record.spike_counts.sum(1)])


@dataclass(frozen=True)
class EpochMetrics:
    """Metrics of one epoch, a row of ``metrics.csv``.

    Attributes
    ----------
    epoch : int
        Number of the epoch, counted from 1.
    loss, accuracy : float
        Means over the training samples, measured while the weights were changing.
    validation_loss, validation_accuracy : float or None
        Metrics on the validation set after the epoch; ``None`` without one.
    lr : float
        Learning rate of the last batch.
    spikes_per_sample : float
        Mean number of spikes for one training sample, all layers together.

    Examples
    --------
    >>> row = EpochMetrics(1, 0.5, 0.8, None, None, lr=1e-3, spikes_per_sample=40.0)
    >>> row.accuracy, row.validation_accuracy is None
    (0.8, True)
    """

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    lr: float
    spikes_per_sample: float


COLUMN_FORMATS = {
    "loss": "{:.4f}",
    "accuracy": "{:.2%}",
    "validation_loss": "{:.4f}",
    "validation_accuracy": "{:.2%}",
    "lr": "{:.2g}",
    "spikes_per_sample": "{:,.1f}",
}
"""The metrics that a `History` shows, and how."""


@dataclass(repr=False)
class History(Result):
    """The record of a training run.

    Attributes
    ----------
    epochs : list of EpochMetrics
        One entry for each finished epoch.
    best_epoch : int or None
        Epoch with the lowest validation loss, whose weights the model holds at the end; ``None``
        without validation.
    seconds : list of float
        Wall-clock time of each finished epoch. It is not in ``metrics.csv``, which is the same for
        the same seed.
    stopped_early : bool
        Whether the validation loss, or a callback, stopped the run.
    interrupted : bool
        Whether Ctrl-C stopped the run.
    device : str
        Device of the training, such as ``"cpu"``.

    Examples
    --------
    >>> first = EpochMetrics(1, 0.50, 0.80, 0.40, 0.88, lr=1e-3, spikes_per_sample=40.0)
    >>> second = EpochMetrics(2, 0.30, 0.90, 0.35, 0.91, lr=1e-3, spikes_per_sample=42.0)
    >>> history = History([first, second], best_epoch=2)
    >>> len(history), history.epochs[history.best_epoch - 1].validation_accuracy
    (2, 0.91)
    """

    _elsewhere: ClassVar[Mapping[str, str]] = {
        name: f"history.column({name!r})" for name in COLUMN_FORMATS
    }

    epochs: list[EpochMetrics] = field(default_factory=list)
    best_epoch: int | None = None
    seconds: list[float] = field(default_factory=list)
    stopped_early: bool = False
    interrupted: bool = False
    device: str = ""

    def __len__(self) -> int:
        return len(self.epochs)

    def table(self) -> Table:
        """Return the metrics that were measured, a row for each epoch, as ``repr`` shows."""
        columns = {"epoch": [str(row.epoch) for row in self.epochs]}
        for name, form in COLUMN_FORMATS.items():
            values = self.column(name)
            if not all(map(math.isnan, values)):
                columns[name.replace("_", " ")] = [form.format(value) for value in values]
        epochs = f"{len(self)} epoch{'' if len(self) == 1 else 's'}"
        title = f"History of {epochs}, {sum(self.seconds):.1f} s"
        return Table(title, list(columns), [*zip(*columns.values(), strict=True)])

    def column(self, name: str) -> list[float]:
        """Return one metric for all epochs.

        Parameters
        ----------
        name : str
            Name of a field of `EpochMetrics`.

        Returns
        -------
        list of float
            One value for each epoch, ``nan`` where it was not measured.

        Raises
        ------
        AttributeError
            If there is an epoch, and no such metric.

        Examples
        --------
        >>> History([EpochMetrics(1, 0.5, 0.8, None, None, 1e-3, 40.0)]).column("accuracy")
        [0.8]
        """
        values = [getattr(row, name) for row in self.epochs]
        return [float("nan") if value is None else float(value) for value in values]

    def to_csv(self) -> str:
        """Return the table as CSV text.

        Returns
        -------
        str
            A header, then one line for each epoch. Every number reads back exactly.
        """
        text = io.StringIO()
        names = [f.name for f in fields(EpochMetrics)]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.epochs)
        return text.getvalue()

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write `to_csv` to a file, atomically.

        Parameters
        ----------
        path : str or os.PathLike
            File to write. A missing folder is created.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        text = self.to_csv()
        write_atomically(path, lambda file: file.write_text(text, encoding="utf-8", newline="\n"))


def epoch_line(history: History, epochs: int) -> str:
    """Return the metrics of the last epoch, of so many, in a line."""
    row, width = history.epochs[-1], len(str(epochs))
    validation = row.validation_accuracy
    return (
        f"epoch {row.epoch:{width}}/{epochs}  loss {row.loss:.4f}  "
        f"accuracy {row.accuracy:7.2%}  "
        f"{'' if validation is None else f'validation {validation:7.2%}  '}"
        f"spikes {row.spikes_per_sample:,.0f}  {history.seconds[-1]:.1f} s"
    )


def validation_findings(
    accuracy: float, validation: float, samples: int, classes: int
) -> Iterator[str]:
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
    numbers: Mapping[str, float],
    model: nn.Module,
    lr: float | None,
    place: str,
    spikes: Tensor | None = None,
) -> None:
    """Stop a run whose loss or gradient is not finite, and name the likely cause.

    Parameters
    ----------
    numbers : mapping of str to float
        Values to check by name: a loss, the norm of the gradient.
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
        If a value is NaN or infinite.
    """
    bad = [name for name, number in numbers.items() if not math.isfinite(number)]
    if not bad:
        return
    causes = [] if lr is None else [f"the learning rate (now {lr:g}) is too high; lower it"]
    if spikes is not None and not bool(spikes.isfinite().all()):
        causes = ["the encoder returned values that are not finite"]
    elif name := not_finite(dict(model.named_parameters())):
        causes = [", so ".join((f"the parameter {name} is not finite", *causes))]
    else:
        stepped = getattr(model, "stepping_reason", None)  # recurrent neurons, perhaps
        if stepped and "loss" not in bad:
            causes.append(
                "it grows from timestep to timestep, as in a recurrent layer: pass truncate=, "
                "lower the recurrent weights, or take a narrower surrogate"
            )
        causes.append(
            "the scores are too large for the loss, or the loss or its gradient divides by zero; "
            "check the loss"
        )
    raise FloatingPointError(
        f"the {bad[0]} became {numbers[bad[0]]} {place}. Likely cause: {'. Or '.join(causes)}. The "
        "last checkpoint, if any, is kept"
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

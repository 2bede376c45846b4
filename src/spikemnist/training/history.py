"""The history of a training run, epoch by epoch."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING

from spikemnist._atomic import write_atomically
from spikemnist._tables import Table, Tabular

if TYPE_CHECKING:
    import os


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


FORMATS = {
    "loss": "{:.4f}",
    "accuracy": "{:.2%}",
    "validation_loss": "{:.4f}",
    "validation_accuracy": "{:.2%}",
    "lr": "{:.2g}",
    "spikes_per_sample": "{:,.1f}",
}
"""The metrics that a `History` shows, and how."""


@dataclass(repr=False)
class History(Tabular):
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
        for name, form in FORMATS.items():
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

"""What else may happen after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn

from spikemnist.training.history import History

if TYPE_CHECKING:
    import os

Callback = Callable[[History, nn.Module], object]
"""Called with the history so far and the model, after the epoch's checkpoint was written."""


def csv_logger(path: str | os.PathLike[str]) -> Callback:
    """Return a callback that keeps the table of metrics in a CSV file.

    Parameters
    ----------
    path
        The file, usually ``metrics.csv``; it is replaced atomically after each epoch.
    """
    return lambda history, model: history.save_csv(path)


def tensorboard(folder: str | os.PathLike[str]) -> Callback:
    """Return a callback that writes the metrics where TensorBoard reads them.

    Parameters
    ----------
    folder
        The log folder.

    Raises
    ------
    ModuleNotFoundError
        When the package ``tensorboard`` is not installed.
    """
    from torch.utils.tensorboard import SummaryWriter

    def write(history: History, model: nn.Module) -> None:
        row = history.epochs[-1]
        with SummaryWriter(log_dir=str(folder)) as writer:
            for name, value in vars(row).items():
                if name != "epoch" and value is not None:
                    writer.add_scalar(name, value, row.epoch)

    return write

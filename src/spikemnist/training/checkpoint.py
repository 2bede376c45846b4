"""Checkpoints: the whole state of a run in one file, from which the run can be resumed.

This module writes checkpoints atomically, reads them, and restores a model and its optimiser. A
file is the zip archive that `torch.save` writes, which has a checksum for each entry.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._atomic import write_atomically
from spikemnist._tensor_files import check_tensors
from spikemnist._tensors import not_finite
from spikemnist.training.history import EpochMetrics, History
from spikemnist.training.optimizers import load_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn

FORMAT = "spikemnist-checkpoint-2"

REMEDY = "Delete it to start at the first epoch"

Weights = dict[str, "Tensor"]


@dataclasses.dataclass
class Checkpoint:
    """The state of a run between two epochs.

    It holds no random state: every epoch seeds its own generators from the seed of the run and the
    number of the epoch.

    Attributes
    ----------
    model, optimizer : dict
        State dicts of model and optimiser.
    history : History
        History of the finished epochs.
    best : dict or None
        State dict of the best epoch by validation loss; ``None`` without validation.
    average : dict or None
        Moving average of the weights; ``None`` if there is none.
    averaged_steps : int
        Number of steps in the average.
    """

    model: Weights
    optimizer: dict[str, Any]
    history: History
    best: Weights | None
    average: Weights | None = None
    averaged_steps: int = 0


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint to a file, atomically.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    history = dataclasses.asdict(checkpoint.history)
    file = io.BytesIO()
    torch.save({"format": FORMAT, **vars(checkpoint), "history": history}, file)
    write_atomically(path, lambda new: new.write_bytes(file.getbuffer()))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote, without running code in the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not a checkpoint of spikemnist, or is of another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint to resume from at {path}")
    data = path.read_bytes()  # an unreadable file raises OSError, not damage
    with _damaged(path):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:  # torch ignores the checksums
            if bad := archive.testzip():
                raise ValueError(f"the checksum of {bad} is wrong")
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        kind = content.pop("format")
    if kind != FORMAT:
        raise ValueError(f"{path} has format {kind!r}; this version of spikemnist reads {FORMAT!r}")
    with _damaged(path):
        epochs = [EpochMetrics(**row) for row in content["history"]["epochs"]]
        history = History(**{**content["history"], "epochs": epochs})
        _check_history(history)
        return Checkpoint(**{**content, "history": history})


@contextlib.contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # any content may raise anything; torch advises unsafe loading
        raise ValueError(
            f"{path} is damaged, or not a checkpoint of spikemnist. {REMEDY}"
        ) from error


def _check_history(history: History) -> None:
    """Raise a `ValueError` unless a history has a row of numbers for each epoch."""
    count = len(history.epochs)
    numbers = [x for row in history.epochs for x in dataclasses.astuple(row) if x is not None]
    if (
        [row.epoch for row in history.epochs] != [*range(1, count + 1)]
        or len(history.seconds) != count
        or not {type(number) for number in (*numbers, *history.seconds)} <= {int, float}
        or history.best_epoch not in (None, *range(1, count + 1))
        or not isinstance(history.stopped_early, bool)
    ):
        raise ValueError("the history is not that of a run")


def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """Load the state of a checkpoint into a model and its optimiser.

    Raises
    ------
    ValueError
        If the state does not fit them, or a number is NaN or infinite. The model stays unchanged.
    """
    try:
        for weights in (checkpoint.model, checkpoint.best, checkpoint.average):
            if weights is not None:
                _check_weights(weights, model)
        load_state(optimizer, checkpoint.optimizer)
        model.load_state_dict(checkpoint.model)
    except Exception as error:  # a custom optimiser or module may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} does not fit the run: {reason}. {REMEDY}") from error


def _check_weights(weights: Weights, model: nn.Module) -> None:
    check_tensors(weights, model.state_dict())
    if bad := not_finite(weights):
        raise ValueError(f"{bad} holds NaN or infinity")

"""Checkpoints: the state of a training in a file, from which a run can be resumed.

A checkpoint is the zip archive that `torch.save` writes, which has a checksum for each entry.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from spikemnist._atomic import write_atomically
from spikemnist._run_folder import CHECKPOINT, RunFolder
from spikemnist._tensor_files import check_tensors
from spikemnist.training.metrics import EpochMetrics, History
from spikemnist.training.optim import load_state
from spikemnist.training.state import Training

CHECKPOINT_FORMAT = "spikemnist-checkpoint-2"

START_AGAIN = "Delete it to start at the first epoch"


def save_checkpoint(training: Training, folder: RunFolder | None) -> None:
    """Write the state of a training into the folder of its run, if it has one, atomically.

    Raises
    ------
    OSError
        If the file cannot be written, or the folder is not there any more.
    """
    if folder is None:
        return
    content = {
        "format": CHECKPOINT_FORMAT,
        "model": training.network.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "history": dataclasses.asdict(training.history),
        "best": training.best,
    }
    file = io.BytesIO()
    torch.save(content, file)
    write_atomically(folder.file(CHECKPOINT), lambda new: new.write_bytes(file.getbuffer()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote, without running code in the file.

    It holds no random state: every epoch seeds its own generators from the seed of the run and the
    number of the epoch.

    Returns
    -------
    dict
        ``model`` and ``optimizer``, state dicts; ``history``, the `History` of the finished epochs;
        ``best``, the state dict of the best epoch by validation loss, or None without validation.

    Raises
    ------
    ValueError
        If the file is damaged, is not a checkpoint of spikemnist, or is of another version.
    """
    data = path.read_bytes()  # an unreadable file raises OSError, not damage
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:  # torch ignores the checksums
            if bad := archive.testzip():
                raise ValueError(f"the checksum of {bad} is wrong")
        content: dict[str, Any]
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        kind = content.pop("format")
        if kind == CHECKPOINT_FORMAT:
            epochs = [EpochMetrics(**row) for row in content["history"]["epochs"]]
            content["history"] = History(**{**content["history"], "epochs": epochs})
            str(content["history"])  # raises for a number that is none
    except Exception as error:  # any content may raise anything; torch advises unsafe loading
        raise ValueError(
            f"{path} is damaged, or not a checkpoint of spikemnist. {START_AGAIN}"
        ) from error
    if kind != CHECKPOINT_FORMAT:
        raise ValueError(
            f"{path} has format {kind!r}; this version of spikemnist reads {CHECKPOINT_FORMAT!r}"
        )
    return content


def restore(training: Training, folder: Path) -> None:
    """Load the checkpoint in the folder of a run into the training.

    Raises
    ------
    ValueError
        If it is damaged, or its names, shapes or dtypes do not fit. The network stays unchanged.
    """
    path = folder / CHECKPOINT
    checkpoint, network = load_checkpoint(path), training.network
    try:
        for weights in (checkpoint["model"], checkpoint["best"]):
            if weights is not None:
                check_tensors(weights, network.state_dict())
        load_state(training.optimizer, checkpoint["optimizer"])
        network.load_state_dict(checkpoint["model"])
    except Exception as error:  # a custom optimiser or module may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} does not fit the run: {reason}. {START_AGAIN}") from error
    checkpoint["history"].device = training.history.device
    training.history, training.best = checkpoint["history"], checkpoint["best"]

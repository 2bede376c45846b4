"""Resume checkpoints: everything that the rest of a run depends on, in one atomic file."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._atomic import write_atomically
from spikemnist.training.history import EpochMetrics, History

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "spikemnist-checkpoint-1"

Weights = dict[str, "torch.Tensor"]


@dataclasses.dataclass
class Checkpoint:
    """The state of a run between two epochs.

    Random numbers need no place in it: every epoch seeds its own from the run's seed and the
    epoch's number.

    Attributes
    ----------
    settings
        What the run was asked to do; plain values.
    model, optimizer
        Their state dicts.
    history
        Of the finished epochs.
    best
        State dict of the best epoch by validation loss; ``None`` without validation.
    """

    settings: dict[str, Any]
    model: Weights
    optimizer: dict[str, Any]
    history: History
    best: Weights | None


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``checkpoint`` to ``path``: afterwards the file is the old one or the new one."""
    content = {
        "format": FORMAT,
        "settings": checkpoint.settings,
        "model": checkpoint.model,
        "optimizer": checkpoint.optimizer,
        "history": dataclasses.asdict(checkpoint.history),
        "best": checkpoint.best,
    }
    write_atomically(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote; no code in the file is run.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is damaged or no checkpoint of spikemnist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint to resume from at {path}")
    data = io.BytesIO(path.read_bytes())  # what cannot be read raises here, not as damage
    try:
        return _from_content(torch.load(data, map_location="cpu", weights_only=True))
    except Exception as error:  # unpickling foreign bytes may raise anything
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(
            f"{path} is damaged or no spikemnist checkpoint of this version: {reason}"
        ) from error


def _from_content(content: Any) -> Checkpoint:
    if content["format"] != FORMAT:
        raise ValueError(f"it has format {content['format']!r}; this version reads {FORMAT!r}")
    history = dict(content["history"])
    rows = [EpochMetrics(**row) for row in history.pop("epochs")]
    return Checkpoint(
        settings=content["settings"],
        model=content["model"],
        optimizer=content["optimizer"],
        history=History(rows, **history),
        best=content["best"],
    )


def check_settings(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Raise a `ValueError` that names every setting in which a run differs from its checkpoint."""
    differences = [
        f"{name} was {found.get(name)!r}, is {wanted.get(name)!r}"
        for name in (*wanted, *(name for name in found if name not in wanted))
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise ValueError(
            f"cannot resume {path} with another configuration: {'; '.join(differences)}. "
            "Resume with the same one, or start a new run"
        )

"""Checkpoints: the whole state of a run in one file, from which the run can be resumed.

This module writes checkpoints atomically, reads them, and restores a model and its optimiser.

A file is the zip archive that `torch.save` writes, with the SHA-256 of all preceding bytes as its
comment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._atomic import write_atomically
from spikemnist._tensor_files import check_tensors
from spikemnist._tensors import not_finite
from spikemnist.training.history import EpochMetrics, History

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

FORMAT = "spikemnist-checkpoint-1"

REMEDY = "Delete it to start at the first epoch"

_COMMENT = b"sha256="
_DIGITS = 64
_BEGIN, _END, _END_SIZE = b"PK\3\4", b"PK\5\6", 22
"""First bytes of a zip archive and of its end record; size of this record without comment."""

_STATES: dict[type[torch.optim.Optimizer], set[str]] = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.SGD: {"momentum_buffer"},
}
"""State of an optimiser for each parameter: tensors of the shape of the parameter, or scalars."""

Weights = dict[str, "Tensor"]


@dataclasses.dataclass
class Checkpoint:
    """The state of a run between two epochs.

    It holds no random state: every epoch seeds its own generators from the seed of the run and the
    number of the epoch.

    Attributes
    ----------
    settings : dict
        Settings of the run, as plain values.
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

    settings: dict[str, Any]
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
    content: dict[str, Any] = {
        "format": FORMAT,
        "settings": checkpoint.settings,
        "model": checkpoint.model,
        "optimizer": checkpoint.optimizer,
        "history": dataclasses.asdict(checkpoint.history),
        "best": checkpoint.best,
    }
    if checkpoint.average is not None:
        content["average"] = checkpoint.average
        content["averaged_steps"] = checkpoint.averaged_steps
    file = io.BytesIO()
    torch.save(content, file)
    archive = bytearray(file.getbuffer())
    # The last two bytes are the length of the archive's comment, 0 so far.
    archive[-2:] = (len(_COMMENT) + _DIGITS).to_bytes(2, "little")
    archive += _COMMENT + hashlib.sha256(archive).hexdigest().encode()
    write_atomically(path, lambda new: new.write_bytes(archive))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote, without running code in the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not a checkpoint of spikemnist, or is of a newer version.

    Warns
    -----
    UserWarning
        If the file is of version 0.1.0, which stored no digest.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint to resume from at {path}")
    data = path.read_bytes()  # an unreadable file raises OSError, not damage
    signed = _has_digest(data, path)
    if not signed:
        _check_archive(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles, then refuses them
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # replaced: torch's message advises unsafe loading
        raise ValueError(f"{path} is not a checkpoint of spikemnist. {REMEDY}") from error
    _check_age(content, path)
    try:
        checkpoint = _from_content(content)
    except ValueError as error:
        raise ValueError(f"{path} is not a checkpoint of spikemnist: {error}. {REMEDY}") from error
    if not signed:
        warnings.warn(
            f"{path} has no digest of its contents, like all files of version 0.1.0: the "
            "checksums of its tensors are right, the rest was not checked. The next checkpoint "
            "will have one",
            stacklevel=1,  # this line, so that Python shows it once for each file
        )
    return checkpoint


def _has_digest(data: bytes, path: Path) -> bool:
    """Return whether a file has a digest, and verify it.

    Raises
    ------
    ValueError
        If the digest is wrong or cut off, or the file is not an archive.
    """
    before, comment = data[: -len(_COMMENT) - _DIGITS], data[-len(_COMMENT) - _DIGITS :]
    if before and comment.startswith(_COMMENT):
        if comment != _COMMENT + hashlib.sha256(before).hexdigest().encode():
            raise ValueError(
                f"{path} is damaged: its contents do not match its SHA-256. {REMEDY}, or restore "
                "it from a good copy"
            )
        return True
    if data[-_END_SIZE:].startswith(_END) and data.endswith(b"\0\0"):
        return False
    if data.startswith(_BEGIN):
        raise ValueError(f"{path} is damaged: its end is missing or changed. {REMEDY}")
    raise ValueError(f"{path} is not a checkpoint of spikemnist. {REMEDY}")


def _check_archive(data: bytes, path: Path) -> None:
    """Verify the checksums of a zip archive, which `torch.load` ignores."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            packed = any(entry.compress_type for entry in archive.infolist())
            bad = None if packed else archive.testzip()
    except Exception as error:  # a damaged archive may raise anything
        raise ValueError(f"{path} is damaged: its archive cannot be read. {REMEDY}") from error
    if packed:  # unpacking might exhaust the memory; torch never compresses
        raise ValueError(f"{path} is not a checkpoint of spikemnist. {REMEDY}")
    if bad is not None:
        raise ValueError(f"{path} is damaged: the checksum of {bad} is wrong. {REMEDY}")


def _check_age(content: Any, path: Path) -> None:
    """Refuse a checkpoint of a later format, whose other entries may have changed as well."""
    found = content.get("format") if isinstance(content, dict) else None
    kind, _, number = str(found).rpartition("-")
    known, _, newest = FORMAT.rpartition("-")
    if kind == known and number.isdecimal() and int(number) > int(newest):
        raise ValueError(
            f"{path} was written by a newer version of spikemnist: it has format {found!r}, and "
            f"this version reads {FORMAT!r}. Upgrade spikemnist to resume the run"
        )


def _from_content(content: Any) -> Checkpoint:
    names = ("format", "settings", "model", "optimizer", "history", "best")
    optional = {"average", "averaged_steps"}
    if not isinstance(content, dict) or {*content} - optional != {*names}:
        raise ValueError(f"it does not hold {', '.join(names)} and nothing else")
    if not isinstance(content["format"], str) or content["format"] != FORMAT:
        raise ValueError(f"it has format {content['format']!r}; this version reads {FORMAT!r}")
    for name in names[1:]:
        if not isinstance(content[name], dict) and not (name == "best" and content[name] is None):
            raise ValueError(f"its entry {name} is not a dictionary")
    average, steps = content.get("average"), content.get("averaged_steps", 0)
    if not isinstance(average, dict | None) or type(steps) is not int:
        raise ValueError("its entry average does not hold weights and a number of steps")
    if not all(map(_is_plain, content["settings"].values())):
        raise ValueError("its entry settings holds more than plain values")
    return Checkpoint(
        settings=content["settings"],
        model=content["model"],
        optimizer=content["optimizer"],
        history=_history(content["history"]),
        best=content["best"],
        average=average,
        averaged_steps=steps,
    )


def _history(content: dict[str, Any]) -> History:
    try:
        epochs = [EpochMetrics(**row) for row in content["epochs"]]
        history = History(**{**content, "epochs": epochs})
        numbers = [value for row in epochs for value in vars(row).values()]
        numbers += [*history.seconds, history.best_epoch]
        sound = (
            all(number is None or isinstance(number, int | float) for number in numbers)
            and isinstance(history.stopped_early, bool)
            and isinstance(history.interrupted, bool)
            and [row.epoch for row in epochs] == [*range(1, 1 + len(history.seconds))]
        )
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise ValueError("its entry history does not hold the figures of each epoch")
    return history


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, int | float | str)


def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """Load the state of a checkpoint into a model and its optimiser.

    Raises
    ------
    ValueError
        If the state does not fit them, or a weight is NaN or infinite. The model stays unchanged.
    """
    try:
        if (checkpoint.average is None) != (checkpoint.settings.get("ema") is None):
            raise ValueError("the average of its weights is missing, or there should be none")
        for weights in (checkpoint.model, checkpoint.best, checkpoint.average):
            if weights is not None:
                _check_weights(weights, model)
        optimizer.load_state_dict(_checked_state(checkpoint.optimizer, optimizer))
        model.load_state_dict(checkpoint.model)
    except Exception as error:  # a custom optimiser may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} does not fit the run that it describes: {reason}. {REMEDY}"
        ) from error


def _check_weights(weights: Weights, model: nn.Module) -> None:
    expected = model.state_dict()
    check_tensors(_tensors(weights), _tensors(expected))
    if {*weights} != {*expected}:  # a module may have state other than tensors
        raise ValueError(f"{sorted({*weights} ^ {*expected})} is missing or unknown")
    learned = {name: weights[name] for name, _ in model.named_parameters()}
    if bad := not_finite(learned):
        raise ValueError(f"{bad} holds NaN or infinity")


def _tensors(state: Mapping[str, Any]) -> Weights:
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _checked_state(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state for an optimiser, completed by the options that a later torch has added."""
    usual = optimizer.state_dict()["param_groups"]
    groups, states = state.get("param_groups"), state.get("state")
    if (
        not isinstance(groups, list)
        or not all(isinstance(group, dict) for group in groups)
        or not isinstance(states, dict)
    ):
        raise ValueError("its entry optimizer does not hold state and param_groups")
    if [group.get("params") for group in groups] != [group["params"] for group in usual]:
        raise ValueError("the optimiser has other parameters")
    for group, own in zip(groups, usual, strict=True):
        for name, value in own.items():
            if name in group and not _is_alike(group[name], value):
                raise ValueError(f"the optimiser's {name} is {group[name]!r}")
    _check_states(states, optimizer)
    merged = [{**own, **group} for group, own in zip(groups, usual, strict=True)]
    return {"state": states, "param_groups": merged}


def _is_alike(found: object, own: object) -> bool:
    if isinstance(own, tuple):
        return isinstance(found, tuple) and [*map(type, found)] == [*map(type, own)]
    if isinstance(own, float) or type(own) is int:
        return isinstance(found, int | float)
    return True  # switches differ from device to device


def _check_states(states: dict[Any, Any], optimizer: torch.optim.Optimizer) -> None:
    wanted = _STATES.get(type(optimizer))
    if wanted is None:
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, entries in states.items():
        known = number in range(len(parameters)) and isinstance(entries, dict)
        if not known or {*entries} != wanted:
            raise ValueError(f"the optimiser's state {number!r} does not hold {sorted(wanted)}")
        for name, value in entries.items():
            shape = () if name == "step" else parameters[number].shape
            if not isinstance(value, torch.Tensor) or value.shape != shape:
                raise ValueError(f"the optimiser's {name} of parameter {number} has another shape")

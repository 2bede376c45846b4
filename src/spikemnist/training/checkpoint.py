"""Resume checkpoints: everything that the rest of a run depends on, in one atomic file.

They are written, read, and given back to a model and its optimiser.

A file is what `torch.save` writes, a zip archive, and its comment is the SHA-256 of all that comes
before.
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
"""How a zip archive and its last record begin, and the size of that before the comment."""

_STATES: dict[type[torch.optim.Optimizer], set[str]] = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.SGD: {"momentum_buffer"},
}
"""What optimisers remember of each parameter: a tensor of its shape, or a number."""

Weights = dict[str, "Tensor"]


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
    """Write ``checkpoint`` to ``path``: afterwards the file is the old one or the new one.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    content = {
        "format": FORMAT,
        "settings": checkpoint.settings,
        "model": checkpoint.model,
        "optimizer": checkpoint.optimizer,
        "history": dataclasses.asdict(checkpoint.history),
        "best": checkpoint.best,
    }
    file = io.BytesIO()
    torch.save(content, file)
    archive = bytearray(file.getbuffer())
    # The last two bytes are the length of its comment, 0 so far.
    archive[-2:] = (len(_COMMENT) + _DIGITS).to_bytes(2, "little")
    archive += _COMMENT + hashlib.sha256(archive).hexdigest().encode()
    write_atomically(path, lambda new: new.write_bytes(archive))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read what `save_checkpoint` wrote; no code in the file is run.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is damaged or no checkpoint of spikemnist.

    Warns
    -----
    UserWarning
        When the file is of version 0.1.0, which stored no digest.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint to resume from at {path}")
    data = path.read_bytes()  # what cannot be read raises here, not as damage
    signed = _has_digest(data, path)
    if not signed:
        _check_archive(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about pickles that it then refuses
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # its message advises to load the file whatever it holds
        raise ValueError(f"{path} is no checkpoint of spikemnist. {REMEDY}") from error
    try:
        checkpoint = _from_content(content)
    except ValueError as error:
        raise ValueError(f"{path} is no checkpoint of spikemnist: {error}. {REMEDY}") from error
    if not signed:
        warnings.warn(
            f"{path} has no digest of its contents, like all files of version 0.1.0: the checksums "
            "of its tensors are right, the rest was not checked. The next epoch's will have one",
            stacklevel=1,  # here, so that Python shows it once for each file
        )
    return checkpoint


def _has_digest(data: bytes, path: Path) -> bool:
    """Return whether a file has a digest, which is then right.

    Raises
    ------
    ValueError
        When it is wrong or cut off, or the file is no archive.
    """
    before, comment = data[: -len(_COMMENT) - _DIGITS], data[-len(_COMMENT) - _DIGITS :]
    if before and comment.startswith(_COMMENT):
        if comment != _COMMENT + hashlib.sha256(before).hexdigest().encode():
            raise ValueError(
                f"{path} is damaged: its contents do not fit its SHA-256. {REMEDY}, or copy it "
                "again from where it is sound"
            )
        return True
    if data[-_END_SIZE:].startswith(_END) and data.endswith(b"\0\0"):
        return False
    if data.startswith(_BEGIN):
        raise ValueError(f"{path} is damaged: its end is missing or changed. {REMEDY}")
    raise ValueError(f"{path} is no checkpoint of spikemnist. {REMEDY}")


def _check_archive(data: bytes, path: Path) -> None:
    """Raise unless the checksums of a zip archive are right: `torch.load` looks at none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            packed = any(entry.compress_type for entry in archive.infolist())
            bad = None if packed else archive.testzip()
    except Exception as error:  # a damaged archive may raise anything
        raise ValueError(f"{path} is damaged: its archive cannot be read. {REMEDY}") from error
    if packed:  # perhaps to more bytes than there is memory; torch packs nothing
        raise ValueError(f"{path} is no checkpoint of spikemnist. {REMEDY}")
    if bad is not None:
        raise ValueError(f"{path} is damaged: the checksum of {bad} is wrong. {REMEDY}")


def _from_content(content: Any) -> Checkpoint:
    names = ("format", "settings", "model", "optimizer", "history", "best")
    if not isinstance(content, dict) or {*content} != {*names}:
        raise ValueError(f"it does not hold {', '.join(names)} and nothing else")
    if not isinstance(content["format"], str) or content["format"] != FORMAT:
        raise ValueError(f"it has format {content['format']!r}; this version reads {FORMAT!r}")
    for name in names[1:]:
        if not isinstance(content[name], dict) and not (name == "best" and content[name] is None):
            raise ValueError(f"its entry {name} is no dictionary")
    if not all(map(_is_plain, content["settings"].values())):
        raise ValueError("its entry settings holds more than plain values")
    return Checkpoint(
        settings=content["settings"],
        model=content["model"],
        optimizer=content["optimizer"],
        history=_history(content["history"]),
        best=content["best"],
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
    """Give model and optimiser the state in a checkpoint.

    Raises
    ------
    ValueError
        When it does not fit them, or a weight is NaN or infinite. The model stays as it was.
    """
    try:
        for weights in (checkpoint.model, checkpoint.best):
            if weights is not None:
                _check_weights(weights, model)
        optimizer.load_state_dict(_checked_state(checkpoint.optimizer, optimizer))
        model.load_state_dict(checkpoint.model)
    except Exception as error:  # an optimiser of one's own may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} does not fit the run that it describes: {reason}. {REMEDY}"
        ) from error


def _check_weights(weights: Weights, model: nn.Module) -> None:
    expected = model.state_dict()
    check_tensors(_tensors(weights), _tensors(expected))
    if {*weights} != {*expected}:  # beside tensors a module may have a state of its own
        raise ValueError(f"{sorted({*weights} ^ {*expected})} is missing or unknown")
    learned = {name: weights[name] for name, _ in model.named_parameters()}
    if bad := not_finite(learned):
        raise ValueError(f"{bad} holds NaN or infinity")


def _tensors(state: Mapping[str, Any]) -> Weights:
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _checked_state(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state for an optimiser, with the options that a later torch has added to it."""
    usual = optimizer.state_dict()["param_groups"]
    groups, states = state.get("param_groups"), state.get("state")
    if (
        not isinstance(groups, list)
        or not all(isinstance(group, dict) for group in groups)
        or not isinstance(states, dict)
    ):
        raise ValueError("its entry optimizer does not hold state and param_groups")
    if [group.get("params") for group in groups] != [group["params"] for group in usual]:
        raise ValueError("the optimiser is of other parameters")
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

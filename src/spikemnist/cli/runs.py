"""Run folders: what a training leaves behind, and how it is found again.

``config.json``, ``metrics.csv``, ``checkpoint.pt``, ``model.safetensors`` and pictures.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemnist import __version__
from spikemnist._atomic import write_atomically
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.options import Train

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG, METRICS = "config.json", "metrics.csv"
CHECKPOINT, MODEL = "checkpoint.pt", "model.safetensors"

# A recipe is stored as what it stands for.
_NOT_STORED = ("out", "resume", "recipe", "debug")

_SINCE_0_1_0 = ("model", "layers", "batch_norm", "first_saccade", "stabilize", "drop_events")
"""Options that are as by default in run folders that know nothing of them."""


def new_run(command: Train) -> Path:
    """Make the run folder of a new training and write its configuration.

    Raises
    ------
    WrongRequest
        When the folder holds something already: a run is never overwritten.
    """
    folder = command.out or _unused_folder(command)
    if folder.exists() and not _is_free(folder):
        raise WrongRequest(
            f"{folder} exists already and is never overwritten: add --resume to continue the run "
            "in it, or choose another --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": __version__, **_stored(command)}, indent=2) + "\n"
    write_atomically(folder / CONFIG, lambda file: file.write_text(text, encoding="utf-8"))
    return folder


def _is_free(folder: Path) -> bool:
    # A run killed before it had written its configuration leaves a hidden temporary file at most.
    return folder.is_dir() and all(file.name.startswith(".") for file in folder.iterdir())


def resumed(command: Train) -> Train:
    """Return the options that the run in ``command.out`` was started with.

    Raises
    ------
    WrongRequest
        Without ``--out``, or when there is no run in it.
    """
    if command.out is None:
        raise WrongRequest("--resume needs --out, the folder of the run to continue")
    return Train(**read_config(command.out))


def check_resumed(command: Train) -> Path:
    """Return the folder of a run to continue, when it was started with the same options.

    Raises
    ------
    WrongRequest
        Naming each option that differs.
    """
    assert command.out is not None  # `resumed` saw to it
    stored = _stored(dataclasses.replace(command, **read_config(command.out)))
    differences = [
        f"--{name.replace('_', '-')} was {stored[name]}, is {value}"
        for name, value in _stored(command).items()
        if stored[name] != value
    ]
    if differences:
        raise WrongRequest(
            f"cannot resume {command.out} with other options: {'; '.join(differences)}"
        )
    return command.out


def read_config(folder: Path) -> dict[str, Any]:
    """Return the options in the ``config.json`` of a run folder.

    Raises
    ------
    WrongRequest
        When there is none, or it is damaged.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise WrongRequest(f"{folder} is no run folder: it has no {CONFIG}")
    try:
        known = {name: getattr(Train(), name) for name in _SINCE_0_1_0}
        stored = {**known, **json.loads(file.read_text(encoding="utf-8"))}
        names = [field.name for field in dataclasses.fields(Train) if field.name not in _NOT_STORED]
        config = {name: stored[name] for name in names}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise WrongRequest(f"{file} is damaged: {error!r}") from error
    config["hidden"] = tuple(config["hidden"])
    config["root"] = None if config["root"] is None else Path(config["root"])
    return config


def event_options(config: Mapping[str, Any], data: str) -> dict[str, bool]:
    """Return what a run does to recordings of an event camera before they are encoded."""
    names = ("first_saccade", "stabilize") if data == "nmnist" else ()
    return {name: config.get(name, False) for name in names}


def _stored(command: Train) -> dict[str, Any]:
    options = dataclasses.asdict(command)
    for name in _NOT_STORED:
        del options[name]
    options["hidden"] = list(command.hidden)
    options["root"] = None if command.root is None else str(command.root.resolve())
    return options


def _unused_folder(command: Train) -> Path:
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{command.data}-{command.encoder}"
    taken = (Path("runs", name if n == 1 else f"{name}-{n}") for n in range(1, 1000))
    return next(folder for folder in taken if not folder.exists())

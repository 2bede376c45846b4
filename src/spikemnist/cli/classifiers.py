"""The trained classifier of a command, with the data of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spikemnist
from spikemnist._run_folder import CONFIG, read_config
from spikemnist.cli.errors import WrongRequest, refuse
from spikemnist.cli.parser import Command, Options


def add_argument(add: Options, *, several: bool = False) -> None:
    """Add the argument for a trained classifier."""
    pretrained = ", ".join(spikemnist.models.available_pretrained())
    text = f"run folder, model file, or a pretrained network: {pretrained}"
    add.argument("runs" if several else "run", text, "RUN", several=several)


def find(run: Path) -> tuple[Any, dict[str, Any]]:
    """Return the classifier of a run folder, of a model file, or a pretrained one by its name.

    The second value describes the data of its training; it is empty for a model file alone.

    Raises
    ------
    WrongRequest
        If there is none, or if the run has not ended.
    ValueError
        If the file is damaged.
    """
    try:
        classifier = spikemnist.load(run)
    except FileNotFoundError as error:
        raise WrongRequest(str(error)) from None
    return classifier, read_config(run)["data"] if (run / CONFIG).is_file() else {}


def folder_of(run: Path) -> Path:
    """Return the folder of a run, or of a model file; of a pretrained network, its name."""
    return run.parent if run.is_file() else run


def check_options(command: Command, run: Path, classifier: Any, *names: str) -> None:
    """Refuse options that need a network, if the classifier has none."""
    if not isinstance(classifier, spikemnist.Classifier):
        kind = type(classifier).__name__
        refuse(command, *names, because=f"for {run}, of the class {kind}, which has no network")

"""The trained classifier of a command, with the options of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import spikemnist
from spikemnist.cli import runs
from spikemnist.cli.errors import WrongRequest, refuse
from spikemnist.training.folder import CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spikemnist.cli.parser import Command, Options
    from spikemnist.models import Classifier
    from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier


class ClassifierSource(NamedTuple):
    """A trained classifier.

    Attributes
    ----------
    classifier
        The classifier of `train`, or of `stdp`.
    options
        Options of its training; empty for a model file alone.
    folder
        Folder for its pictures.
    """

    classifier: Classifier | STDPClassifier | ConvSTDPClassifier
    options: Mapping[str, Any]
    folder: Path


def add_argument(add: Options, *, several: bool = False) -> None:
    """Add the argument for a trained classifier."""
    pretrained = ", ".join(spikemnist.models.available_pretrained())
    text = f"run folder, model file, or a pretrained network: {pretrained}"
    add.argument("runs" if several else "run", text, "RUN", several=several)


def find(run: Path) -> ClassifierSource:
    """Return the classifier of a run folder, of a model file, or a pretrained one by its name.

    Raises
    ------
    WrongRequest
        If there is none, or if the run has not ended.
    ValueError
        If the file is damaged.
    """
    has_model = (run / runs.MODEL).is_file()
    # `plot` draws a pretrained network into a folder of its name, which is no run.
    is_pretrained = str(run) in spikemnist.models.available_pretrained() and not has_model
    has_command = (run / runs.COMMAND).exists()  # a run of `spikemnist.fit` has none
    options: Mapping[str, Any] = {}
    if run.is_dir() and not is_pretrained and (has_command or not has_model):
        unfinished = f"{run} has no {runs.MODEL}, because the run has not finished"
        if (run / CONFIG).exists() and not has_command:
            raise WrongRequest(unfinished)
        name, options = runs.read_options(run)
        if not has_model:
            raise WrongRequest(f"{unfinished}; continue it with `{runs.to_continue(name, run)}`")
    try:
        classifier = spikemnist.load(run)
    except FileNotFoundError as error:
        raise WrongRequest(str(error)) from None
    return ClassifierSource(classifier, options, run.parent if run.is_file() else run)


def check_options(command: Command, run: Path, source: ClassifierSource, *names: str) -> None:
    """Refuse options that need a network, if the classifier has none."""
    if not isinstance(source.classifier, spikemnist.models.Classifier):
        kind = type(source.classifier).__name__
        refuse(command, *names, because=f"for {run}, of the class {kind}, which has no network")

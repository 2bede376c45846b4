"""The trained classifier of a command, with the data of its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import spikemnist
from spikemnist._run_folder import CONFIG, read_config
from spikemnist.cli.errors import WrongRequest, refuse

if TYPE_CHECKING:
    from spikemnist.cli.parser import Command, Options
    from spikemnist.models import Classifier
    from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier


class ClassifierSource(NamedTuple):
    """A trained classifier.

    Attributes
    ----------
    classifier
        The classifier of `train`, or of `stdp`.
    data
        Description of its training data; empty for a model file alone.
    folder
        Folder for its pictures.
    """

    classifier: Classifier | STDPClassifier | ConvSTDPClassifier
    data: Mapping[str, Any]
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
    try:
        classifier = spikemnist.load(run)
    except FileNotFoundError as error:
        raise WrongRequest(str(error)) from None
    data = read_config(run, "data")["data"] if (run / CONFIG).is_file() else {}
    return ClassifierSource(classifier, data, run.parent if run.is_file() else run)


def check_options(command: Command, run: Path, source: ClassifierSource, *names: str) -> None:
    """Refuse options that need a network, if the classifier has none."""
    if not isinstance(source.classifier, spikemnist.models.Classifier):
        kind = type(source.classifier).__name__
        refuse(command, *names, because=f"for {run}, of the class {kind}, which has no network")

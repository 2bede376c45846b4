"""The trained classifier of a command, with the options of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from spikemnist._load import load
from spikemnist.cli import runs
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.limits import flag
from spikemnist.cli.wording import command_line
from spikemnist.models import Classifier, available_pretrained

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from spikemnist.cli.options import Command
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


def find(run: Path) -> ClassifierSource:
    """Return the classifier of a run folder, of a model file, or a pretrained one by its name.

    Raises
    ------
    WrongRequest
        If there is none, or if the run has not ended.
    ValueError
        If the file is damaged.
    """
    # `plot` draws a pretrained network into a folder of its name, which is no run.
    is_pretrained = str(run) in available_pretrained() and not (run / runs.MODEL).is_file()
    options = runs.read_config(run) if run.is_dir() and not is_pretrained else {}
    if options and not (run / runs.MODEL).is_file():
        words = command_line("spikemnist", options["command"], "--resume", "--out", run)
        raise WrongRequest(
            f"{run} has no {runs.MODEL}, because the run has not finished; continue it with "
            f"`{words}`"
        )
    try:
        classifier = load(run)
    except FileNotFoundError as error:
        raise WrongRequest(str(error)) from None
    return ClassifierSource(classifier, options, run.parent if run.is_file() else run)


def check_options(command: Command, run: Path, source: ClassifierSource, *names: str) -> None:
    """Refuse options that need a network, if the classifier has none.

    Raises
    ------
    WrongRequest
        With the options among ``names`` that were given.
    """
    given = [flag(name) for name in names if getattr(command, name) != getattr(type(command), name)]
    if given and not isinstance(source.classifier, Classifier):
        raise WrongRequest(
            f"{', '.join(given)} cannot be used with {run}, of the class "
            f"{type(source.classifier).__name__}, which has no network and runs on the CPU; remove "
            "them, or give a run of `train`"
        )

"""The trained classifier of a command, with the options of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from spikemnist._load import load
from spikemnist.cli import runs
from spikemnist.cli.errors import WrongRequest
from spikemnist.models import Classifier, available_pretrained

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class NetworkSource(NamedTuple):
    """A trained classifier.

    Attributes
    ----------
    classifier
        Network and encoder.
    options
        Options of its training; empty for a model file alone.
    folder
        Folder for its pictures.
    """

    classifier: Classifier
    options: Mapping[str, Any]
    folder: Path


def find(run: Path) -> NetworkSource:
    """Return the classifier of a run folder, of a model file, or a pretrained one by its name.

    Raises
    ------
    WrongRequest
        If there is none, or if it has no network.
    ValueError
        If the file is damaged.
    """
    # `plot` draws a pretrained network into a folder of its name, which is no run.
    is_pretrained = str(run) in available_pretrained() and not (run / runs.MODEL).is_file()
    options = runs.read_config(run) if run.is_dir() and not is_pretrained else {}
    try:
        classifier = load(run)
    except FileNotFoundError as error:
        raise WrongRequest(str(error)) from None
    if not isinstance(classifier, Classifier):
        raise WrongRequest(
            f"{run} holds a classifier of `spikemnist stdp`, which has no network: give the folder "
            "of its run to evaluate or plot"
        )
    return NetworkSource(classifier, options, run.parent if run.is_file() else run)

"""Load a classifier from a file, from the folder of a run, or by the name of a pretrained one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemnist._doors import import_object, is_installed, missing_room
from spikemnist._run_folder import MODEL, model_file

if TYPE_CHECKING:
    from spikemnist.models import Classifier

CLASSES_OF_FORMATS = {
    "spikemnist-stdp-1": "spikemnist.plasticity.STDPClassifier",
    "spikemnist-conv-stdp-1": "spikemnist.plasticity.ConvSTDPClassifier",
}
"""Door to the class of each format of files but that of a `Classifier`."""


def load(source: str | os.PathLike[str]) -> Classifier | Any:
    """Load a trained classifier, on the CPU and in evaluation mode. No code of the file runs.

    Parameters
    ----------
    source : str or os.PathLike
        A file of `spikemnist.models.Classifier.save` or of a classifier of
        `spikemnist.plasticity`, the folder of a run of `spikemnist.fit` or a command, or one of
        `spikemnist.models.available_pretrained`. A path that holds a model goes before a name.

    Returns
    -------
    Classifier, STDPClassifier or ConvSTDPClassifier

    Raises
    ------
    FileNotFoundError
        If there is neither such a file nor such a name, or the run has not finished.
    ImportError
        If the room of the file's format is missing.
    ValueError
        If the file is damaged, is not one of spikemnist, holds NaN or infinity, or its tensors do
        not fit its description; if network, encoder or readout are a user's own, whose weights
        `Classifier.load_weights` reads. The message names the problem.

    Warns
    -----
    UserWarning
        If the backend of the file cannot run here: ``"auto"`` takes its place.

    Examples
    --------
    >>> import spikemnist
    >>> _, test = spikemnist.load_digits()
    >>> classifier = spikemnist.load("mnist-conv")
    >>> spikemnist.evaluate(classifier, test[:100]).accuracy > 0.95
    True
    """
    from spikemnist._tensor_files import format_of
    from spikemnist.models.classifier import load_classifier
    from spikemnist.models.pretrained import available_pretrained, pretrained_file

    path, names = Path(source), available_pretrained()
    if str(source) in names and not path.is_file() and not (path / MODEL).is_file():
        with pretrained_file(str(source)) as pretrained:
            return load_classifier(pretrained)
    file = model_file(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"no model at {file}: give a run folder, a model file, or one of {', '.join(names)}"
        )
    kind = CLASSES_OF_FORMATS.get(name := format_of(file))
    if kind is None:
        return load_classifier(file)
    if not is_installed(kind):
        raise ImportError(f"{file} has the format {name}: {missing_room(kind)}")
    return import_object(kind).load(file)

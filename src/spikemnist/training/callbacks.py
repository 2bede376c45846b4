"""Callbacks that run after each epoch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from spikemnist.models import Classifier
from spikemnist.training.metrics import History

Callback = Callable[[History, Classifier], object]
"""Function of the history so far and the classifier, called after the checkpoint of an epoch. The
run ends if it returns True."""


def csv_logger(path: str | os.PathLike[str]) -> Callback:
    """Return a callback that writes the table of metrics to a CSV file.

    Parameters
    ----------
    path : str or os.PathLike
        File to write, usually ``metrics.csv``. It is replaced atomically after each epoch.

    Returns
    -------
    callable
        Callback ``callback(history, classifier)``, for the ``callbacks`` of `fit`.

    Raises
    ------
    OSError
        If the callback cannot write the file, except for lack of permission.

    Warns
    -----
    UserWarning
        If the file may not be replaced, as on Windows while a spreadsheet has it open. The
        training continues.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from spikemnist.models import LeakyMLP
    >>> from spikemnist.training import EpochMetrics
    >>> classifier = Classifier(LeakyMLP(hidden=20), "latency")
    >>> history = History([EpochMetrics(1, 0.5, 0.8, None, None, 1e-3, 40.0)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv_logger(f"{folder}/metrics.csv")(history, classifier)
    ...     Path(folder, "metrics.csv").read_text().splitlines()[1]
    '1,0.5,0.8,,,0.001,40.0'
    """
    path = Path(path)

    def write(history: History, classifier: Classifier) -> None:
        try:
            history.save_csv(path)
        except PermissionError as error:
            warnings.warn(
                f"{path} was not written ({error.strerror}): close it in other programs. The next "
                "epoch writes all rows again",
                stacklevel=2,
            )

    return write

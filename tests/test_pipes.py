"""A path that names a pipe, which stands for any device, is refused by whatever writes files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikemnist import Classifier, LeakyMLP, fit, load_digits
from spikemnist.training import EpochMetrics, History, TrainConfig
from tests.rooms import of_rooms

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders"),
    pytest.mark.filterwarnings("ignore:.*neuron"),  # few images teach few of them
]

TRAIN, _ = load_digits()
CLASSIFIER = Classifier(LeakyMLP(hidden=8, reset_mechanism="zero"), "latency")
HISTORY = History([EpochMetrics(1, 0.5, 0.8, None, None, 1e-3, 40.0)])


WRITERS = {
    "Classifier.save": CLASSIFIER.save,
    "History.save_csv": HISTORY.save_csv,
    "fit": lambda path: fit(CLASSIFIER, TRAIN[:20], config=TrainConfig(epochs=1), run=path),
    **dict(of_rooms("TO_FILES")),
}


@pytest.fixture(params=["pipe", "link.png"])
def path(request, tmp_path) -> Iterator[Path]:
    """Return a pipe, or a link to it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.png").symlink_to("pipe")
    yield tmp_path / request.param
    assert (tmp_path / request.param).is_fifo()
    assert {file.name for file in tmp_path.iterdir()} == {"link.png", "pipe"}


@pytest.mark.parametrize("name", WRITERS)
def test_no_file_replaces_a_pipe(name, path):
    with pytest.raises(OSError, match=f"{path} is (not a regular file|not a folder|a file)"):
        WRITERS[name](path)

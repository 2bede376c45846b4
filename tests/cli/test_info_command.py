"""``spikemnist info``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spikemnist import __version__
from spikemnist.encoding import available_encoders
from spikemnist.ops import BACKENDS
from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path


def test_versions_devices_backends_encoders_and_data(tmp_path: Path) -> None:
    printed = spikemnist("info", cwd=tmp_path).stdout
    for words in (
        f"spikemnist  {__version__}",
        f"torch {torch.__version__}",
        "snntorch 1",
        "cpu",
        ", ".join(name for name in BACKENDS if name != "auto"),
        ", ".join(available_encoders()),
        "digits (in the package), MNIST",
    ):
        assert words in printed

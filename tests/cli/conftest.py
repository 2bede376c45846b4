from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small finished run."""
    folder = tmp_path_factory.mktemp("cli")
    spikemnist("train", "--hidden", 40, "--epochs", 3, "--seed", 3, "--out", "run", cwd=folder)
    return folder / "run"

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import spikemnist


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small finished run."""
    folder = tmp_path_factory.mktemp("cli")
    spikemnist("train", "--hidden", 40, "--epochs", 3, "--seed", 3, "--out", "run", cwd=folder)
    return folder / "run"

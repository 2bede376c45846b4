"""Three small finished runs, which the tests of all commands read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import answers, spikemnist

Trained = tuple[Path, dict[str, Any]]
"""The folder of a run, and what its command printed."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an mlp."""
    folder = tmp_path_factory.mktemp("cli")
    spikemnist("train", "--hidden", 40, "--epochs", 3, "--seed", 3, "--out", "run", cwd=folder)
    return folder / "run"


@pytest.fixture(scope="session")
def conv(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("conv")
    words = ("--model", "conv", "--layers", "4C5-P2-6C5-P2-10", "--loss", "spike_time_mse")
    (result,) = answers("train", *words, "--epochs", 2, "--out", "run", cwd=folder)
    return folder / "run", result


@pytest.fixture(scope="session")
def stdp(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("stdp")
    (result,) = answers("stdp", "--neurons", 30, "--passes", 2, "--out", "run", cwd=folder)
    return folder / "run", result

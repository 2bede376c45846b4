from __future__ import annotations

import os
from pathlib import Path

import pytest

_REAL = os.environ.get("SPIKEMNIST_DATA")
_REAL_ROOT = Path(_REAL).resolve() if _REAL else None


@pytest.fixture
def mnist_root() -> Path:
    """The folder with the full MNIST that SPIKEMNIST_DATA named when the tests began."""
    if _REAL_ROOT is None or not (_REAL_ROOT / "MNIST" / "raw").is_dir():
        pytest.skip("needs the full MNIST: set SPIKEMNIST_DATA to a folder with MNIST/raw")
    return _REAL_ROOT


@pytest.fixture
def nmnist_root() -> Path:
    """The folder with recordings of N-MNIST that SPIKEMNIST_DATA named when the tests began."""
    if _REAL_ROOT is None or not (_REAL_ROOT / "N-MNIST" / "Train").is_dir():
        pytest.skip("needs recordings of N-MNIST: set SPIKEMNIST_DATA to a folder with N-MNIST")
    return _REAL_ROOT


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty home folder, no data set in the environment and no mirror within reach."""
    import torchvision

    folder = tmp_path / "home"
    for variable in ("SPIKEMNIST_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder))
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "127.0.0.1")
    for name in ("MNIST", "FashionMNIST"):
        # Nothing listens on the discard port, so the connection is refused at once.
        monkeypatch.setattr(getattr(torchvision.datasets, name), "mirrors", ["http://127.0.0.1:9/"])
    return folder

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spikemnist.data import mnist

_REAL = Path(os.environ.get("SPIKEMNIST_DATA") or "no data").resolve()


@pytest.fixture
def real_data(request) -> Path:
    """The folder that SPIKEMNIST_DATA names, if it has the folder of the test's parameter."""
    if not (_REAL / request.param).is_dir():
        pytest.skip(f"needs SPIKEMNIST_DATA to name a folder with {request.param}")
    return _REAL


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder, and no data set in the environment."""
    folder = tmp_path / "cache"
    monkeypatch.delenv("SPIKEMNIST_DATA", raising=False)
    monkeypatch.setattr(mnist, "user_cache_path", lambda *_, **__: folder)
    return folder

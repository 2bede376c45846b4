"""Several processes without the room that they need."""

from __future__ import annotations

import pytest
from torch import distributed

from spikemnist import _doors
from spikemnist.training.team import OneProcess, find_team, joined

MISSING = r"^spikemnist\.distributed is missing in this installation$"


@pytest.fixture(autouse=True)
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_doors, "is_installed", lambda path: False)


def test_a_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined():
        assert isinstance(find_team(), OneProcess)


def test_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    with pytest.raises(ImportError, match=MISSING):
        find_team()


def test_a_process_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ImportError, match=MISSING):
        joined()

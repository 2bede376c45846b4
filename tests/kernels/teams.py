"""A fixture that runs kernels in torch's own threads and in a pool of Python's."""

from __future__ import annotations

import math

import pytest

from spikemnist.kernels import openmp, scheduler


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, threads: None) -> None:
    monkeypatch.setattr(openmp, "team_addresses", lambda: openmp.NO_TEAM)


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch, threads: None) -> None:
    """Use the team however crowded the machine is."""
    if openmp.team_addresses() == openmp.NO_TEAM:
        pytest.skip("torch has its own OpenMP runtime only on Linux")
    monkeypatch.setattr(scheduler, "STALL", math.inf)
    monkeypatch.setattr(scheduler, "_crowded_until", 0.0)


@pytest.fixture(params=["team", "pool"])
def where(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)

"""A fixture that runs kernels in torch's own threads and in a pool of Python's."""

from __future__ import annotations

import pytest

from spikemnist.kernels import openmp


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, threads: None) -> None:
    monkeypatch.setattr(openmp, "team_addresses", lambda: openmp.NO_TEAM)


@pytest.fixture
def team(threads: None) -> None:
    if openmp.team_addresses() == openmp.NO_TEAM:
        pytest.skip("torch has its own OpenMP runtime only on Linux")


@pytest.fixture(params=["team", "pool"])
def where(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)

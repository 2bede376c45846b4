"""The choice of a backend where all are installed, on any device."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from spikemnist import ops
from spikemnist._doors import is_installed
from spikemnist.kernels import compiler
from spikemnist.models.runners import RUNNERS

THERE = [name for name in ops.BACKENDS if name == "auto" or is_installed(RUNNERS[name])]
"""Backends whose rooms are there."""


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "missing", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize("requested", THERE)
def test_the_backend_that_runs(requested: str) -> None:
    assert ops.select_backend(requested) == ("event_driven" if requested == "auto" else requested)


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize(("device", "runs"), [("cuda", "triton"), ("mps", "reference")])
def test_the_backend_of_a_gpu(device: str, runs: str) -> None:
    """With a stand-in for weights on the GPU."""
    spikes = torch.zeros(2, 1, 3)
    weight = SimpleNamespace(
        device=SimpleNamespace(type=device), dtype=torch.float32, shape=torch.Size((4, 3))
    )
    weight.dim = lambda: 2
    assert ops.select_backend("auto", spikes, weight) == runs
    if runs == "reference":
        with pytest.raises(ValueError, match=f"and the model is on {device}"):
            ops.select_backend("triton", spikes, weight)


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="need Triton, which comes with torch for CUDA on Linux"):
        ops.select_backend("triton")

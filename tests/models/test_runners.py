"""The choice of the backend, and the runners of rooms that are missing."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
import snntorch
import torch
from torch import nn

from spikemnist import LeakyMLP, _doors, accelerate, ops
from spikemnist.kernels import compiler
from spikemnist.models import runners


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "missing", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize("requested", ops.BACKENDS)
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


KERNELS = (12, 1, 5, 5)


@pytest.mark.parametrize(
    ("steps", "batch", "weight", "runs"),
    [
        (1, 1, (1, 2), "event_driven"),
        (3, 1, KERNELS, "reference"),
        (1, 3, KERNELS, "reference"),
        (2, 2, KERNELS, "event_driven"),
    ],
)
def test_auto_leaves_a_few_images_to_the_reference(
    steps: int, batch: int, weight: tuple[int, ...], runs: str
) -> None:
    spikes = torch.zeros(steps, batch, *((2,) if len(weight) == 2 else (1, 28, 28)))
    assert ops.select_backend("auto", spikes, torch.zeros(weight)) == runs


@pytest.mark.parametrize(
    ("weight", "why"),
    [
        (torch.zeros(3, 2).bfloat16(), "float32 and float64, and the model is in torch.bf"),
        (torch.zeros(3, 2, device="meta"), "on the CPU, and the model is on meta"),
    ],
)
def test_the_engine_says_why_it_cannot_serve(weight: torch.Tensor, why: str) -> None:
    spikes = torch.zeros(25, 128, 2)
    assert ops.select_backend("auto", spikes, weight) == "reference"
    with pytest.raises(ValueError, match=f"backend='event_driven' cannot run this: .*{why}"):
        ops.select_backend("event_driven", spikes, weight)


def test_the_engine_does_not_serve_autocast() -> None:
    weight = torch.zeros(3, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ops.select_backend("auto", torch.zeros(25, 128, 2), weight) == "reference"
        with pytest.raises(ValueError, match="autocast asks for another precision"):
            ops.select_backend("event_driven", weight=weight)


def test_an_unknown_backend_lists_the_known() -> None:
    expected = "one of auto, event_driven, triton, reference, snntorch; got 'cuda'"
    with pytest.raises(ValueError, match=expected):
        ops.select_backend("cuda")


@pytest.fixture
def core_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no room beyond be there."""
    monkeypatch.setattr(runners, "_loaded", {})
    monkeypatch.setattr(runners, "is_there", lambda path: path.startswith("spikemnist.models"))
    monkeypatch.setattr(_doors, "is_there", lambda path: path.startswith("spikemnist.models"))


@pytest.mark.usefixtures("core_alone")
def test_backends_of_rooms_that_are_missing() -> None:
    network = LeakyMLP(hidden=3, in_features=4, out_features=2)
    assert network(torch.ones(2, 1, 4)).backend == "reference"
    for backend, room in (("event_driven", "engine"), ("triton", "gpu"), ("snntorch", "interop")):
        with pytest.raises(ValueError, match=rf"'{backend}' .*spikemnist\.{room} is missing"):
            ops.select_backend(backend)
        with pytest.raises(ValueError, match=rf"'{backend}' .*spikemnist\.{room} is missing"):
            LeakyMLP(hidden=3, backend=backend)


@pytest.mark.usefixtures("core_alone")
def test_networks_of_others_without_their_room() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), snntorch.Leaky(beta=0.9))
    with pytest.raises(ValueError, match=r"ReLU.*; spikemnist\.interop is missing"):
        accelerate(network)
    with pytest.raises(ImportError, match=r"spikemnist\.interop is missing"):
        accelerate(network, torch.ones(2, 4))

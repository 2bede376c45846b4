"""The weights of all timesteps in one product, and the choice of backend.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from spikemnist import ops
from spikemnist.ops import backends
from tests.strategies import SEEDS


@given(SEEDS, st.integers(1, 6), st.integers(0, 3), st.integers(1, 9), st.booleans())
def test_equals_a_product_for_each_timestep(
    seed: int, steps: int, batch: int, features: int, with_bias: bool
) -> None:
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(4, features, generator=random, dtype=torch.float64)
    bias = torch.randn(4, generator=random, dtype=torch.float64) if with_bias else None
    spikes = torch.rand(steps, batch, features, generator=random) < 0.3
    expected = torch.stack([functional.linear(step.double(), weight, bias) for step in spikes])
    for dtype in (torch.bool, torch.uint8, torch.float32, torch.float64):
        current = ops.linear(spikes.to(dtype), weight, bias)
        torch.testing.assert_close(current, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("with_bias", [True, False])
def test_an_input_constant_in_time_is_weighed_once(with_bias: bool) -> None:
    random = torch.Generator().manual_seed(0)
    leaves = [
        torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_()
        for shape in [(3, 5), (4, 5), (4,)][: 2 + with_bias]
    ]
    image = leaves[0]
    assert ops.linear(image.detach().expand(7, 3, 5), *leaves[1:]).stride(0) == 0
    # Each timestep of an input that requires a gradient has its own.
    constant = ops.linear(image.expand(7, 3, 5), *leaves[1:])
    repeated = ops.linear(image.repeat(7, 1, 1), *leaves[1:])
    torch.testing.assert_close(constant, repeated, rtol=1e-13, atol=0)
    towards = torch.randn(7, 3, 4, generator=random, dtype=torch.float64)
    for result, expected in zip(
        torch.autograd.grad(constant, leaves, towards),
        torch.autograd.grad(repeated, leaves, towards),
        strict=True,
    ):
        torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


def test_one_timestep_is_not_taken_for_a_constant() -> None:
    spikes, weight = torch.ones(2, 3).expand(1, 2, 3), torch.ones(4, 3)
    assert ops.linear(spikes, weight).tolist() == [[[3.0] * 4] * 2]


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kernels in backends.COMPILED.items():
        monkeypatch.setitem(backends.COMPILED, name, kernels._replace(missing=lambda: None))


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
    with pytest.raises(ValueError, match=f"backend='event_driven' cannot run here: .*{why}"):
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

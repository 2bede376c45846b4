"""The weights of all timesteps in one product.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from spikemnist import ops
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

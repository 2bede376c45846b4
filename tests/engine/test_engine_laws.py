"""What holds for the engine whatever the oracle says: physics, symmetry, calculus.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist import engine, ops
from spikemnist.ops.layer import LayerParams
from tests.engine.stacks import (
    by_engine,
    cast,
    layer,
    spikes,
    stack,
)
from tests.strategies import SEEDS

if TYPE_CHECKING:
    from torch import Tensor


def single(
    fed: Tensor, beta: float, reset_mechanism: str = "none", initial: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run neurons that each listen to one input of weight 1; return spikes and membranes."""
    features = fed.shape[2]
    (output,) = engine.run(
        [
            LayerParams(
                weight=torch.eye(features, dtype=torch.float64),
                beta=torch.tensor(beta, dtype=torch.float64),
                threshold=torch.tensor(1.0, dtype=torch.float64),
                reset_mechanism=reset_mechanism,
                spike_grad=ops.ATan(),
                initial=initial,
            )
        ],
        fed,
    )
    return output.spikes, output.membrane


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.95, 1.0])
def test_without_input_the_membrane_decays_exponentially(beta: float) -> None:
    start = torch.linspace(-1, 0.99, 130, dtype=torch.float64)[None]
    _, membrane = single(torch.zeros(70, 1, 130), beta, "subtract", start)
    time = torch.arange(1, 71, dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(membrane, start * beta**time, rtol=1e-13, atol=0)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_each_spike_decays_by_itself(beta: float) -> None:
    """Without reset the membrane is the sum of what is left of all spikes."""
    fed = spikes(70, 2, 66, dtype=torch.float64)
    _, membrane = single(fed, beta)
    time = torch.arange(70)
    left = torch.where(
        time[:, None] >= time, beta ** (time[:, None] - time).clamp_min(0).double(), 0.0
    )
    expected = torch.einsum("ts,sbn->tbn", left.double(), fed)
    torch.testing.assert_close(membrane, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("beta", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("current", [1.2, 0.3, 0.15])
def test_the_rate_follows_the_f_i_curve(beta: float, current: float) -> None:
    r"""With a reset to zero and a constant current I, U reaches I (1 - beta^n) / (1 - beta) in n
    steps; the n of the first above the threshold is the interval between spikes. Below the
    rheobase, I <= 1 - beta, there is none."""
    fired, membrane = single(torch.full((200, 1, 1), current, dtype=torch.float64), beta, "zero")
    times = fired.flatten().nonzero().flatten()
    if current <= 1 - beta:
        assert len(times) == 0
        assert membrane[-1].item() == pytest.approx(current / (1 - beta))
        return
    interval = math.ceil(math.log(1 - (1 - beta) / current) / math.log(beta))
    assert times[0] == interval - 1
    assert set(times.diff().tolist()) <= {interval}
    assert len(times) == 200 // interval


@given(SEEDS, st.sampled_from([0.1, 0.4, 0.9]))
def test_permuting_the_batch_permutes_the_result(seed: int, density: float) -> None:
    given = stack((130, 66, 3), numbers="short", seed=seed, density=density, batch=40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    plain, shuffled = (
        by_engine(fed, given.layers, record="all", final=True)
        for fed in (given.spikes, given.spikes[:, order])
    )
    for one, other in zip(plain, shuffled, strict=True):
        for name in ("spikes", "membrane"):
            assert torch.equal(getattr(one, name)[:, order], getattr(other, name))
        assert torch.equal(one.counts[order], other.counts)
        assert torch.equal(one.final[order], other.final)


@given(SEEDS, st.integers(0, 4))
def test_samples_do_not_see_one_another(seed: int, index: int) -> None:
    given = stack((70, 66, 3), numbers="short", seed=seed, batch=5, initial=True)
    together = by_engine(given.spikes, given.layers, record="all", final=True)
    alone = by_engine(
        given.spikes[:, index : index + 1],
        [replace(params, initial=params.initial[index : index + 1]) for params in given.layers],
        record="all",
        final=True,
    )
    for one, other in zip(together, alone, strict=True):
        assert torch.equal(one.spikes[:, index : index + 1], other.spikes)
        assert torch.equal(one.membrane[:, index : index + 1], other.membrane)


@given(SEEDS, st.sampled_from(ops.RESET_MECHANISMS), st.integers(1, 8))
def test_two_halves_are_one_run(seed: int, reset_mechanism: str, cut: int) -> None:
    given = stack((70, 66, 3), numbers="short", seed=seed, steps=9, reset_mechanism=reset_mechanism)
    together = by_engine(given.spikes, given.layers, record="all", final=True)
    first = by_engine(given.spikes[:cut], given.layers, record="all", final=True)
    layers = [
        replace(params, initial=output.final)
        for params, output in zip(given.layers, first, strict=True)
    ]
    second = by_engine(given.spikes[cut:], layers, record="all", final=True)
    for one, part, rest in zip(together, first, second, strict=True):
        assert torch.equal(one.membrane, torch.cat([part.membrane, rest.membrane]))
        assert torch.equal(one.counts, part.counts + rest.counts)
        assert torch.equal(one.final, rest.final)


@pytest.mark.parametrize("reset_mechanism", ["zero", "none"])
def test_the_gradient_of_the_membrane_is_the_finite_difference(reset_mechanism: str) -> None:
    """Between spikes everything is differentiable; a reset to zero is a constant in between."""
    given = stack((9, 66), steps=5, batch=2, reset_mechanism=reset_mechanism, initial=True)
    (params,) = given.layers
    params = replace(params, beta=params.beta.clamp(0.1, 0.9))
    leaves = [params.weight, params.bias, params.beta, params.initial]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]

    def membranes(weight: Tensor, bias: Tensor, beta: Tensor, initial: Tensor) -> Tensor:
        own = replace(params, weight=weight, bias=bias, beta=beta, initial=initial)
        return by_engine(given.spikes, [own], record="output", final=False)[0].membrane

    distance = (membranes(*leaves) - params.threshold).abs()
    assert distance.min() > 1e-5
    assert (params.initial - params.threshold).abs().min() > 1e-5
    assert torch.autograd.gradcheck(membranes, leaves, eps=1e-7, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_threshold_itself_does_not_fire(dtype: torch.dtype) -> None:
    params = replace(
        cast(layer(3, 1, beta=0.5, threshold=1.0), dtype),
        weight=torch.tensor([[1.0], [1 + torch.finfo(dtype).eps], [-1.0]], dtype=dtype),
        bias=None,
    )
    (output,) = engine.run([params], torch.ones(1, 1, 1))
    assert output.spikes.flatten().tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_and_smallest_numbers(dtype: torch.dtype) -> None:
    """No flush to zero, and an overflow is an infinity that fires."""
    tiny, huge = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).max
    params = replace(
        cast(layer(3, 2, beta=1.0, threshold=1.0, reset_mechanism="none"), dtype),
        weight=torch.tensor([[tiny / 4, 0.0], [huge, huge], [-huge, -huge]], dtype=dtype),
        bias=None,
    )
    (output,) = engine.run([params], torch.ones(2, 1, 2))
    expected = [[tiny / 4, math.inf, -math.inf], [tiny / 2, math.inf, -math.inf]]
    assert output.membrane[:, 0].tolist() == torch.tensor(expected, dtype=dtype).tolist()
    assert output.spikes[:, 0].tolist() == [[0.0, 1.0, 0.0]] * 2

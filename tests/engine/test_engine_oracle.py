"""The event-driven engine against `snntorch.Leaky` stepped in a loop, and against the reference.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spikemnist import ops
from spikemnist.engine.slopes import FORMULAS
from spikemnist.ops import reference
from tests.engine.agreement import (
    assert_gradients_agree,
    assert_same_membranes,
    assert_same_spikes,
    compare,
    magnitudes,
    roundings,
)
from tests.engine.stacks import (
    OUTPUTS,
    answer,
    by_engine,
    by_reference,
    by_snntorch,
    cast,
    layer,
    loss_weights,
    spikes,
    stack,
)
from tests.engine.stacks import Stack as StackOfLayers
from tests.strategies import SEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = [1, 2, 5, 16, 17, 63, 64, 65, 130, 257]
SURROGATES = [
    *(kind() for kind in FORMULAS),
    ops.ATan(alpha=5.0),
    ops.FastSigmoid(slope=3.0),
    ops.SparseFastSigmoid(slope=4.0, cutoff=-0.3),
    ops.Sigmoid(slope=2.0),
    ops.Triangular(threshold=0.5),
    ops.SpikeRateEscape(beta=2.0, slope=3.0),
]
EVERYTHING = {"record": "all", "final": True}
EXACT = [ops.StraightThrough(), ops.Triangular(), ops.Heaviside()]


@st.composite
def stacks(draw: st.DrawFn, numbers: str, surrogates: Sequence[ops.Surrogate]) -> StackOfLayers:
    """Draw one to three layers, each with a reset, a surrogate and parameters of its own."""
    steps = draw(st.integers(1, 9) | st.sampled_from([63, 64, 65, 70]))
    batch = draw(st.integers(0, 5))
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 0.5, 1.0]))
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=2, max_size=4))
    seed = draw(SEEDS)
    layers = [
        layer(
            neurons,
            features,
            numbers=numbers,
            density=density if index == 0 else 0.3,
            seed=seed + index,
            batch=batch if draw(st.booleans()) else None,
            bias=draw(st.booleans()),
            beta=draw(st.sampled_from([None, 0.0, 1.0] + [0.5, 0.95, 1.5] * (numbers != "whole"))),
            threshold=draw(st.sampled_from([None, 1.0])),
            reset_mechanism=draw(st.sampled_from(ops.RESET_MECHANISMS)),
            spike_grad=draw(st.sampled_from(surrogates)),
            dropout=draw(st.sampled_from([0.0, 0.0, 0.5])) if index else 0.0,
        )
        for index, (features, neurons) in enumerate(itertools.pairwise(sizes))
    ]
    fed = spikes(steps, batch, sizes[0], density=density, seed=seed)
    record = draw(st.sampled_from(["output", "all"]))
    return StackOfLayers(fed, layers, record, final=draw(st.booleans()))


def in_precision(given: StackOfLayers, dtype: torch.dtype) -> StackOfLayers:
    return replace(given, layers=[cast(params, dtype) for params in given.layers])


@settings(max_examples=15)  # it runs without compilation as well
@given(stacks("any", SURROGATES), st.sets(st.sampled_from(OUTPUTS), min_size=1).map(sorted))
@example(stack((130, 65, 70, 3), steps=70, spike_grad="fast_sigmoid", **EVERYTHING), OUTPUTS)
@example(stack((64, 257, 64), steps=64, density=0.9, initial=True, reset_mechanism="zero"), OUTPUTS)
@example(stack((1, 1, 1), steps=1, batch=1, density=1.0), OUTPUTS)
@example(stack((257, 63), steps=65, density=0.0, bias=False), OUTPUTS)
@example(stack((20, 70, 16), initial=True, **EVERYTHING), ["final"])
@example(stack((20, 70, 17), initial=True, reset_mechanism="zero", **EVERYTHING), ["spikes"])
@example(stack((20, 70, 64, 3), steps=6, dropout=0.5), OUTPUTS)
@example(stack((20, 70, 65, 3), steps=6, dropout=0.1), OUTPUTS)
def test_any_stack(given: StackOfLayers, outputs: Sequence[str]) -> None:
    recorded = set(outputs) - (set() if given.final else {"final"})
    compare(given, outputs if recorded else OUTPUTS, by_snntorch)


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("spike_grad", SURROGATES, ids=repr)
def test_every_reset_with_every_surrogate(reset_mechanism: str, spike_grad: ops.Surrogate) -> None:
    given = stack(
        (67, 65, 9),
        steps=9,
        record="all",
        reset_mechanism=reset_mechanism,
        spike_grad=spike_grad,
        initial=True,
    )
    result = compare(given, OUTPUTS, by_snntorch)
    for output in result.activities:
        assert 0.1 < output.spikes.mean() < 0.9


@given(stacks("short", SURROGATES), st.sampled_from([torch.float32, torch.float64]))
@example(stack((130, 65, 70, 3), numbers="short", steps=70, density=0.02), torch.float32)
@example(stack((300, 129), numbers="short", steps=65, density=0.4, batch=5), torch.float32)
@example(stack((64, 257, 64), numbers="short", density=0.9, batch=5), torch.float32)
@example(stack((70, 20, 5), numbers="short", spike_grad="sigmoid", dropout=0.5), torch.float32)
def test_exact_sums_give_the_same_bits(given: StackOfLayers, dtype: torch.dtype) -> None:
    """Runs differ in the order of sums alone; gradients round in other places too."""
    given = in_precision(given, dtype)
    towards = loss_weights(given)
    result, reference = (answer(run, given, towards) for run in (by_engine, by_reference))
    bound = 2 * roundings(given) * torch.finfo(dtype).eps / 2
    sizes = magnitudes(given, towards, reference)
    for expected in (reference, answer(by_snntorch, given, towards)):
        assert_same_spikes(result, expected)
        assert_same_membranes(result, expected, 0)
        assert_gradients_agree(result, expected, sizes, bound)


@given(stacks("whole", EXACT))
@example(stack((65, 9), numbers="whole", spike_grad="straight_through", steps=9, density=0.1))
@example(
    stack((20, 66, 3), numbers="whole", spike_grad="triangular", steps=5, batch=2, density=0.1)
)
def test_integers_give_the_same_gradients(given: StackOfLayers) -> None:
    """Nothing is rounded, so gradients are equal, in single precision if the numbers fit."""
    towards = loss_weights(given, integral=True)
    expected = answer(by_reference, given, towards)
    sizes = magnitudes(given, towards, expected)
    largest = max([0.0, *(float(size.max()) for size in sizes.values() if size.numel())])
    membranes = [output.membrane.abs() for output in expected.activities if output.membrane.numel()]
    largest = max([largest, *(float(membrane.max()) for membrane in membranes)])
    assume(largest < 2**53)
    dtypes = [torch.float64] + [torch.float32] * (largest < 2**24)
    for dtype in dtypes:
        ours = in_precision(given, dtype)
        result = answer(
            by_engine, ours, [{k: v.to(dtype) for k, v in one.items()} for one in towards]
        )
        assert_same_spikes(result, answer(by_reference, ours, loss_weights(ours)))
        assert_gradients_agree(result, expected, sizes, 0)


def test_beta_is_clamped_and_so_is_its_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    given = stack((6, 5), steps=9)
    beta = torch.tensor([-0.5, 0.0, 0.4, 1.0, 1.5], dtype=torch.float64)
    outside = replace(given, layers=[replace(given.layers[0], beta=beta)])
    inside = replace(given, layers=[replace(given.layers[0], beta=beta.clamp(0, 1))])
    result = compare(outside, OUTPUTS, by_snntorch)
    passes = reference.CLAMP_PASSES_ON_BOUNDS
    learns = [False, passes, True, passes, False]
    assert (result.gradients["beta 0"] != 0).tolist() == learns
    assert_same_membranes(result, compare(inside), 0)
    monkeypatch.setattr(reference, "CLAMP_PASSES_ON_BOUNDS", not passes)
    learns = [False, not passes, True, not passes, False]
    assert (
        answer(by_engine, outside, loss_weights(outside)).gradients["beta 0"] != 0
    ).tolist() == learns


@pytest.mark.parametrize("shape", [(), (1,), (9,)])
def test_one_parameter_for_all_neurons_or_one_for_each(shape: tuple[int, ...]) -> None:
    given = stack((8, 9), steps=9)
    own = {
        name: torch.full(shape, value, dtype=torch.float64)
        for name, value in (("beta", 0.9), ("threshold", 0.7))
    }
    result = compare(replace(given, layers=[replace(given.layers[0], **own)]), OUTPUTS, by_snntorch)
    assert {result.gradients[f"{name} 0"].shape for name in own} == {shape}

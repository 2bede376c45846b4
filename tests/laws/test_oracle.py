"""All runners against `snntorch.Leaky` stepped in a loop.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spikemnist import ops
from spikemnist.ops import reference
from tests.laws.agreement import (
    assert_equals_the_loop,
    assert_gradients_agree,
    assert_same_membranes,
    assert_same_spikes,
    magnitudes,
)
from tests.laws.layers import by_snntorch
from tests.laws.runners import (
    INTERPRETED,
    OUTPUTS,
    RUNNER,
    RUNNERS,
    answer,
    loss_weights,
)
from tests.laws.stacks import SURROGATES, Stack, any_neurons, any_stack, neurons, stack
from tests.pairs import Case, named, pairs
from tests.strategies import ODD_SIZES

pytestmark = INTERPRETED
DTYPES = [torch.float32, torch.float64]
EVERYTHING = {"record": "all", "final": True}
WHOLE = [ops.StraightThrough(), ops.Triangular(), ops.Heaviside()]
"""Surrogates whose derivative of a whole number is whole."""


def asked(given: Stack, outputs: Sequence[str]) -> Sequence[str]:
    """Return outputs on which a loss may depend: some that are recorded."""
    recorded = set(outputs) - (set() if given.final else {"final"})
    return outputs if recorded else OUTPUTS


@RUNNER
@settings(max_examples=15)  # the engine runs them without compilation as well
@given(any_stack(["any"]), st.sets(st.sampled_from(OUTPUTS), min_size=1).map(sorted))
@example(stack((130, 65, 70, 3), steps=70, spike_grad="fast_sigmoid", **EVERYTHING), OUTPUTS)
@example(stack((64, 257, 64), steps=64, density=0.9, initial=True, reset_mechanism="zero"), OUTPUTS)
@example(stack((1, 1, 1), steps=1, batch=1, density=1.0), OUTPUTS)
@example(stack((257, 63), steps=65, density=0.0, bias=False), OUTPUTS)
@example(stack((20, 70, 16), initial=True, **EVERYTHING), ["final"])
@example(stack((20, 70, 17), initial=True, reset_mechanism="zero", **EVERYTHING), ["spikes"])
@example(stack((20, 70, 64, 3), steps=6, dropout=0.5), OUTPUTS)
@example(stack((20, 70, 65, 3), steps=6, dropout=0.1), OUTPUTS)
def test_any_stack(runner: str, given: Stack, outputs: Sequence[str]) -> None:
    assert_equals_the_loop(runner, given, asked(given, outputs))


@RUNNER
@given(any_stack(["short"]))
@example(stack((130, 65, 70, 3), numbers="short", steps=70, density=0.02))
@example(stack((300, 129), numbers="short", steps=65, density=0.4, batch=5))
@example(stack((64, 257, 64), numbers="short", density=0.9, batch=5))
@example(stack((70, 20, 5), numbers="short", spike_grad="sigmoid", dropout=0.5))
def test_exact_sums_give_the_same_bits(runner: str, given: Stack) -> None:
    assert_equals_the_loop(runner, given.to(torch.float32))


@RUNNER
@given(any_neurons(), st.sampled_from(DTYPES), st.sets(st.sampled_from(OUTPUTS), min_size=1))
def test_any_neurons(runner: str, given: Stack, dtype: torch.dtype, outputs: set[str]) -> None:
    assert_equals_the_loop(runner, given.to(dtype), sorted(outputs))


DESIGN = pairs(
    runner=list(RUNNERS),
    reset_mechanism=ops.RESET_MECHANISMS,
    spike_grad=SURROGATES,
    dtype=DTYPES,
    size=ODD_SIZES,
    dense=[False, True],
)


@pytest.mark.parametrize("case", DESIGN, ids=named)
def test_every_pair_of_settings(case: Case) -> None:
    options = {name: case[name] for name in ("reset_mechanism", "spike_grad")}
    size = case["size"]
    given = neurons((9, 3, size), seed=size, **options)
    if case["dense"]:
        given = stack(
            (67, size, 9), steps=9, numbers="short", initial=True, **EVERYTHING, **options
        )
    actual = assert_equals_the_loop(case["runner"], given.to(case["dtype"]))
    for output in actual.layers:
        assert 0.05 < output.spikes.mean() < 0.95 or size == 1


@pytest.mark.parametrize("runner", ["reference", "accelerate"])
@given(any_neurons())
def test_brain_float(runner: str, given: Stack) -> None:
    """Eight bits hold no gradient worth comparing digit by digit; the run is equal all the same."""
    half = given.to(torch.bfloat16)
    towards = loss_weights(half)
    actual, expected = (answer(run, half, towards) for run in (RUNNERS[runner], by_snntorch))
    assert_same_spikes(actual, expected)
    assert_same_membranes(actual, expected, 0)
    gradients = [gradient for gradient in actual.gradients.values() if gradient is not None]
    assert {gradient.dtype for gradient in gradients} == {torch.bfloat16}


@RUNNER
@given(any_stack(["whole"], WHOLE))
@example(stack((65, 9), numbers="whole", spike_grad="straight_through", steps=9, density=0.1))
@example(
    stack((20, 66, 3), numbers="whole", spike_grad="triangular", steps=5, batch=2, density=0.1)
)
def test_integers_give_the_same_gradients(runner: str, given: Stack) -> None:
    """Nothing is rounded in single precision if the numbers fit, so gradients are equal."""
    towards = loss_weights(given, integral=True)
    expected = answer(by_snntorch, given, towards)
    sizes = magnitudes(given, towards, expected)
    membranes = [output.membrane.abs() for output in expected.layers]
    parts = [part for part in (*sizes.values(), *membranes) if part.numel()]
    largest = max([0.0, *(float(part.max()) for part in parts)])
    assume(largest < 2**24)
    single = [{name: part.float() for name, part in one.items()} for one in towards]
    actual = answer(RUNNERS[runner], given.to(torch.float32), single)
    for one, other in zip(actual.layers, expected.layers, strict=True):
        assert torch.equal(one.counts, other.counts)
    assert_gradients_agree(actual, expected, sizes, 0)


@RUNNER
def test_beta_is_clamped_and_so_is_its_gradient(
    runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a beta on a bound learns is torch's choice: torch 2.13 and torch 2.15 differ."""
    given = stack((6, 5), steps=9)
    beta = torch.tensor([-0.5, 0.0, 0.4, 1.0, 1.5], dtype=torch.float64)
    outside = replace(given, layers=[replace(given.layers[0], beta=beta)])
    inside = replace(given, layers=[replace(given.layers[0], beta=beta.clamp(0, 1))])
    actual = assert_equals_the_loop(runner, outside)
    assert_same_membranes(actual, assert_equals_the_loop(runner, inside), 0)
    passes = reference.CLAMP_PASSES_ON_BOUNDS
    assert (actual.gradients["beta 0"] != 0).tolist() == [False, passes, True, passes, False]
    monkeypatch.setattr(reference, "CLAMP_PASSES_ON_BOUNDS", not passes)
    learns = answer(RUNNERS[runner], outside, loss_weights(outside)).gradients["beta 0"] != 0
    assert learns.tolist() == [False, not passes, True, not passes, False]


@RUNNER
@pytest.mark.parametrize("shape", [(), (9,)])
def test_parameters_for_all_neurons_or_for_each(runner: str, shape: tuple[int, ...]) -> None:
    given = stack((8, 9), steps=9)
    own = {
        name: torch.full(shape, value, dtype=torch.float64)
        for name, value in (("beta", 0.9), ("threshold", 0.7))
    }
    given = replace(given, layers=[replace(given.layers[0], **own)])
    actual = assert_equals_the_loop(runner, given)
    assert {actual.gradients[f"{name} 0"].shape for name in own} == {shape}

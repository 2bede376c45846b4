"""Inputs of any dtype and layout, grey values, constant in time, not a number; and outputs.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from tests.laws.agreement import DOUBLE, assert_equals_the_loop
from tests.laws.layers import by_snntorch
from tests.laws.runners import (
    INTERPRETED,
    RUNNER,
    RUNNERS,
    leaves_of,
    loss_of,
    loss_weights,
    run,
)
from tests.laws.stacks import PARTS, layer, neurons, spikes, stack
from tests.strategies import SEEDS

pytestmark = INTERPRETED
DTYPES = [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float32, torch.float64]
LAYOUTS = {
    "contiguous": lambda x: x,
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "reversed axes": lambda x: x.permute(2, 1, 0).contiguous().permute(2, 1, 0),
    "every other": lambda x: x.repeat_interleave(2, 0).repeat_interleave(2, 2)[::2, :, ::2],
    "a part": lambda x: torch.nn.functional.pad(x, (3, 4, 1, 2))[:, 1:-2, 3:-4],
    "constant in time": lambda x: x[:1].expand(len(x), -1, -1),
    "one sample for all": lambda x: x[:, :1].expand(-1, 3, -1),
}


@st.composite
def inputs(draw: st.DrawFn) -> Tensor:
    """Draw spikes ``[T, 3, 70]`` of any dtype, density and layout; or other numbers."""
    steps, dtype = draw(st.integers(1, 7) | st.just(70)), draw(st.sampled_from(DTYPES))
    fed = spikes(steps, 3, 70, density=draw(st.sampled_from([0.1, 0.3, 0.9])), seed=draw(SEEDS))
    kinds = {torch.bool: ["spikes"], torch.uint8: ["spikes", "one"], torch.int64: ["spikes", "one"]}
    kind = draw(st.sampled_from(kinds.get(dtype, ["spikes", "one", "grey"])))
    if kind == "grey":
        fed = fed * torch.linspace(-1, 1, fed.numel()).view(fed.shape)
    elif kind == "one":
        floats = [0.5, -1.0, 2.0, 1e-45]
        fed[-1, 1, 69] = draw(st.sampled_from(floats if dtype.is_floating_point else [2, 127]))
    return LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](fed.to(dtype))


@RUNNER
@given(inputs(), st.sampled_from([(70, 66, 3), (70, 5)]))
@example(spikes(7, 3, 70, dtype=torch.float64)[:1].expand(70, -1, -1), (70, 66, 3))
@example(torch.full((6, 3, 70), 0.5)[:1].expand(6, -1, -1), (70, 5))
def test_any_input(runner: str, fed: Tensor, sizes: tuple[int, ...]) -> None:
    given = stack(sizes, initial=True, record="all")
    assert_equals_the_loop(runner, replace(given, spikes=fed))


@RUNNER
@pytest.mark.parametrize("differentiated", [False, True])
@pytest.mark.parametrize("kind", ["spikes", "grey", "current"])
def test_an_input_constant_in_time(runner: str, kind: str, differentiated: bool) -> None:
    """The direct encoder expands an image over the timesteps."""
    given = stack((70, 66, 3), initial=True)
    if kind == "current":
        given = neurons((7, 3, 70))
    random = torch.Generator().manual_seed(0)
    image = torch.rand(3, 70, generator=random, dtype=torch.float64)
    image = (image < 0.3).double() if kind == "spikes" else image
    answers = []
    for one in (RUNNERS[runner], by_snntorch):
        own, leaves = leaves_of(given)
        leaf = image.clone().requires_grad_(differentiated)
        options = {"record": given.record, "final": given.final}
        outputs = one(leaf.expand(7, 3, 70), own.layers, **options)
        learned = [value for name, value in leaves.items() if name != "input"]
        learned += [leaf] if differentiated else []
        gradients = torch.autograd.grad(loss_of(outputs, loss_weights(given)), learned)
        answers.append([outputs[-1].membrane, *gradients])
    for actual, expected in zip(*answers, strict=True):
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(actual, expected, rtol=0, atol=DOUBLE * scale)


@RUNNER
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_and_layouts_give_the_same_bits(runner: str, dtype: torch.dtype) -> None:
    given = stack((130, 66, 4), numbers="short", dtype=torch.float32)

    def answer(fed: Tensor) -> list[Tensor]:
        fed = fed.requires_grad_(fed.is_floating_point())
        own, leaves = leaves_of(given)
        outputs = run(runner, replace(own, spikes=fed))
        learned = [leaves["weight 0"], *([fed] if fed.requires_grad else [])]
        gradients = torch.autograd.grad(loss_of(outputs, loss_weights(given)), learned)
        return [outputs[-1].membrane, *gradients]

    membrane, of_weight, of_input = answer(given.spikes.clone())
    for layout in ("contiguous", "batch first", "every other", "a part"):
        actual = answer(LAYOUTS[layout](given.spikes.to(dtype)).detach())
        assert torch.equal(actual[0], membrane)
        torch.testing.assert_close(actual[1], of_weight, rtol=1e-6, atol=1e-5)
        if len(actual) == 3:
            assert torch.equal(actual[2], of_input.to(dtype))


@RUNNER
def test_minus_zero_is_silence(runner: str) -> None:
    given = stack((70, 5))
    fed = torch.where(given.spikes == 0, -0.0, given.spikes)
    assert fed.signbit().any()
    actual, expected = (run(runner, replace(given, spikes=one)) for one in (fed, given.spikes))
    assert torch.equal(actual[0].membrane, expected[0].membrane)


@RUNNER
@pytest.mark.parametrize("part", ["bias", "beta"])
def test_nan_in_a_parameter_stays_with_its_neuron(runner: str, part: str) -> None:
    given = stack((70, 66), record="all")
    parameter = getattr(given.layers[0], part).clone()
    parameter[65] = math.nan
    layers = [replace(given.layers[0], **{part: parameter})]
    (actual,) = run(runner, replace(given, layers=layers))
    (expected,) = by_snntorch(given.spikes, layers)
    assert torch.equal(actual.spikes, expected.spikes)
    options = {"rtol": DOUBLE, "atol": DOUBLE, "equal_nan": True}
    torch.testing.assert_close(actual.membrane, expected.membrane, **options)
    assert actual.membrane[..., :65].isfinite().all()


@RUNNER
@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("feature", [0, 69])
def test_nan_and_infinity_stay_with_their_sample(runner: str, number: float, feature: int) -> None:
    given = stack((70, 66, 3), record="all", beta=0.9)
    fed = given.spikes.double()
    fed[3, 1, feature] = number
    actual, expected = run(runner, replace(given, spikes=fed)), by_snntorch(fed, given.layers)
    for one, other in zip(actual, expected, strict=True):
        assert torch.equal(one.spikes, other.spikes)
        options = {"rtol": DOUBLE, "atol": DOUBLE, "equal_nan": True}
        torch.testing.assert_close(one.membrane, other.membrane, **options)
    assert not actual[0].membrane[3:, 1].isfinite().any()
    assert actual[0].membrane[:, [0, 2]].isfinite().all()


VIEWS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "every other": (lambda x: x.repeat_interleave(2, -1)[..., ::2], lambda x: x),
    "transposed": (lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0), lambda x: x),
    "expanded": (lambda x: x[:1].expand_as(x), lambda x: x[:1].expand_as(x).contiguous()),
}
"""Views of parameters, and the same numbers in a row."""


@RUNNER
@pytest.mark.parametrize("view", VIEWS)
def test_parameters_in_any_layout(runner: str, view: str) -> None:
    given = stack((70, 66, 5), numbers="short", initial=True)
    answers = []
    for change in VIEWS[view]:
        own, leaves = leaves_of(given)
        layers = [
            replace(params, **{part: change(getattr(params, part)) for part in PARTS})
            for params in own.layers
        ]
        outputs = run(runner, replace(own, layers=layers))
        loss = loss_of(outputs, loss_weights(given))
        answers.append([outputs[-1].membrane, *torch.autograd.grad(loss, list(leaves.values()))])
    assert torch.equal(answers[0][0], answers[1][0])
    for actual, expected in zip(*answers, strict=True):
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12 * scale)


@RUNNER
@pytest.mark.parametrize("analog", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_layers_without_weights(runner: str, analog: bool, dropout: float) -> None:
    """Their input is their current, after dropout."""
    given = stack((66, 66, 66), initial=True, dropout=dropout, record="all")
    fed = given.spikes * (0.7 if analog else 1)
    first, second = given.layers
    bare = replace(second, weight=None, bias=None)
    for layers in ([bare], [bare, first], [first, bare], [first, bare, layer(4, 66, seed=2)]):
        layers[0] = replace(layers[0], dropout=0.0)
        assert_equals_the_loop(runner, replace(given, spikes=fed, layers=layers))


@RUNNER
@pytest.mark.parametrize("features", [3, 200])
def test_dropout_of_layers_without_weights_has_their_size(runner: str, features: int) -> None:
    given = stack((features, 66, 66), dropout=0.25, record="all")
    first, second = given.layers
    bare = replace(second, weight=None, bias=None)
    assert_equals_the_loop(runner, replace(given, layers=[first, bare, layer(4, 66, seed=2)]))


@RUNNER
def test_inputs_stay_and_outputs_are_fresh(runner: str) -> None:
    given = stack((70, 66, 3), initial=True, record="all", final=True, dropout=0.5)
    leaves = [given.spikes, *(getattr(params, part) for params in given.layers for part in PARTS)]
    before = [leaf.clone() for leaf in leaves]
    own, tracked = leaves_of(given)
    layers = [*run(runner, own), *run(runner, own)]
    towards = loss_weights(given) * 2
    weights = [value.clone() for one in towards for value in one.values()]
    loss_of(layers, towards).backward()
    outputs = [getattr(one, name) for one in layers for name in ("spikes", "membrane", "counts")]
    gradients = [leaf.grad for leaf in tracked.values()]
    assert all(map(torch.equal, leaves, before))
    assert all(map(torch.equal, weights, [value for one in towards for value in one.values()]))
    everything = [*leaves, *tracked.values(), *outputs, *gradients]
    assert len({value.data_ptr() for value in everything}) == len(everything)
    copies = [value.detach().clone() for value in outputs]
    with torch.no_grad():
        for leaf in (*leaves, *tracked.values()):
            leaf.fill_(math.nan)
    assert all(map(torch.equal, copies, outputs))

"""Inputs of the engine: any dtype and layout, grey values, constant in time, not a number.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from spikemnist import engine
from tests.engine.agreement import DOUBLE, compare
from tests.engine.stacks import (
    PARTS,
    by_engine,
    by_reference,
    detach,
    layer,
    leaves_of,
    loss_of,
    loss_weights,
    spikes,
    stack,
)
from tests.strategies import SEEDS

if TYPE_CHECKING:
    from torch import Tensor


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


@given(inputs(), st.sampled_from([(70, 66, 3), (70, 5)]))
@example(spikes(7, 3, 70, dtype=torch.float64)[:1].expand(70, -1, -1), (70, 66, 3))
@example(torch.full((6, 3, 70), 0.5)[:1].expand(6, -1, -1), (70, 5))
def test_any_input(fed: Tensor, sizes: tuple[int, ...]) -> None:
    given = stack(sizes, initial=True, record="all")
    compare(replace(given, spikes=fed))


@pytest.mark.parametrize("differentiated", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_an_input_constant_in_time(binary: bool, differentiated: bool) -> None:
    """The direct encoder expands an image over the timesteps."""
    given = stack((70, 66, 3), initial=True)
    random = torch.Generator().manual_seed(0)
    image = torch.rand(3, 70, generator=random, dtype=torch.float64)
    image = (image < 0.3).double() if binary else image
    towards = loss_weights(given)
    results = []
    for run in (by_engine, by_reference):
        own, leaves = leaves_of(given)
        leaf = image.clone().requires_grad_(differentiated)
        outputs = run(leaf.expand(7, 3, 70), own.layers, record="output", final=False)
        wanted = [value for name, value in leaves.items() if name != "input"]
        wanted += [leaf] if differentiated else []
        results.append(
            [outputs[-1].membrane, *torch.autograd.grad(loss_of(outputs, towards), wanted)]
        )
    for result, expected in zip(*results, strict=True):
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(result, expected, rtol=0, atol=DOUBLE * scale)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_and_layouts_give_the_same_bits(dtype: torch.dtype) -> None:
    given = stack((130, 66, 4), dtype=torch.float32)

    def run(fed: Tensor) -> list[Tensor]:
        fed = fed.requires_grad_(fed.is_floating_point())
        own, leaves = leaves_of(given)
        outputs = engine.run(own.layers, fed)
        wanted = [leaves["weight 0"], *([fed] if fed.requires_grad else [])]
        return [
            outputs[-1].membrane,
            *torch.autograd.grad(loss_of(outputs, loss_weights(given)), wanted),
        ]

    expected = run(given.spikes.clone())
    for layout in ("contiguous", "batch first", "every other", "a part"):
        result = run(LAYOUTS[layout](given.spikes.to(dtype)).detach())
        for value, wanted in zip(result, expected, strict=False):
            assert torch.equal(value, wanted.to(value.dtype))
        assert len(result) < 3 or result[2].dtype == dtype


def test_minus_zero_is_silence() -> None:
    given = stack((70, 5))
    fed = torch.where(given.spikes == 0, -0.0, given.spikes)
    assert fed.signbit().any()
    membrane = by_engine(fed, given.layers, record="output", final=False)[0].membrane
    expected = by_engine(given.spikes, given.layers, record="output", final=False)[0].membrane
    assert torch.equal(membrane, expected)


@pytest.mark.parametrize("part", ["bias", "beta"])
def test_nan_in_a_parameter_stays_with_its_neuron(part: str) -> None:
    given = stack((70, 66), record="all")
    parameter = getattr(given.layers[0], part).clone()
    parameter[65] = math.nan
    layers = [replace(given.layers[0], **{part: parameter})]
    (result,) = by_engine(given.spikes, layers, record="all", final=False)
    (expected,) = by_reference(given.spikes, layers)
    assert torch.equal(result.spikes, expected.spikes)
    torch.testing.assert_close(
        result.membrane, expected.membrane, rtol=DOUBLE, atol=DOUBLE, equal_nan=True
    )
    assert result.membrane[..., :65].isfinite().all()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("feature", [0, 69])
def test_nan_and_infinity_stay_with_their_sample(number: float, feature: int) -> None:
    given = stack((70, 66, 3), record="all", beta=0.9)
    fed = given.spikes.double()
    fed[3, 1, feature] = number
    result = by_engine(fed, given.layers, record="all", final=False)
    expected = by_reference(fed, given.layers)
    for one, other in zip(result, expected, strict=True):
        assert torch.equal(one.spikes, other.spikes)
        torch.testing.assert_close(
            one.membrane, other.membrane, rtol=DOUBLE, atol=DOUBLE, equal_nan=True
        )
    assert not result[0].membrane[3:, 1].isfinite().any()
    assert result[0].membrane[:, [0, 2]].isfinite().all()


def test_parameters_in_any_layout() -> None:
    given = stack((70, 66, 3), initial=True)
    strided = [
        replace(
            params,
            **{
                part: value.repeat_interleave(2, -1)[..., ::2]
                for part in PARTS
                if (value := getattr(params, part)).dim()
            },
        )
        for params in given.layers
    ]
    strided[0] = replace(strided[0], weight=strided[0].weight.T.contiguous().T)
    assert not any(params.weight.is_contiguous() for params in strided)
    compare(replace(given, layers=strided))


@pytest.mark.parametrize("analog", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_layers_without_weights(analog: bool, dropout: float) -> None:
    """Their input is their current, after dropout."""
    given = stack((66, 66, 66), initial=True, dropout=dropout, record="all")
    fed = given.spikes * (0.7 if analog else 1)
    first, second = given.layers
    bare = replace(second, weight=None, bias=None)
    for layers in ([bare], [bare, first], [first, bare], [first, bare, layer(4, 66, seed=2)]):
        layers[0] = replace(layers[0], dropout=0.0)
        compare(replace(given, spikes=fed, layers=layers))


@pytest.mark.parametrize("features", [3, 200])
def test_dropout_of_layers_without_weights_has_their_size(features: int) -> None:
    given = stack((features, 66, 66), dropout=0.25, record="all")
    first, second = given.layers
    bare = replace(second, weight=None, bias=None)
    compare(replace(given, layers=[first, bare, layer(4, 66, seed=2)]))


def test_inputs_stay_and_outputs_are_fresh() -> None:
    given = stack((70, 66, 3), initial=True, record="all", final=True, dropout=0.5)
    leaves = [given.spikes, *(getattr(params, part) for params in given.layers for part in PARTS)]
    before = [leaf.clone() for leaf in leaves]
    own, tracked = leaves_of(given)
    layer_outputs = by_engine(own.spikes, own.layers, record="all", final=True)
    loss_of(layer_outputs, loss_weights(given)).backward()
    outputs = [
        value
        for one in layer_outputs
        for value in (one.spikes, one.membrane, one.final, one.counts)
    ]
    gradients = [leaf.grad for leaf in tracked.values()]
    assert all(map(torch.equal, leaves, before))
    everything = [*leaves, *tracked.values(), *outputs, *gradients]
    assert len({value.data_ptr() for value in everything}) == len(everything)
    copies = [value.detach().clone() for value in outputs]
    for leaf in leaves:
        leaf.fill_(float("nan"))
    assert all(
        torch.equal(detached, value) for detached, value in zip(copies, outputs, strict=True)
    )


@pytest.mark.parametrize("record", ["output", "all"])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
def test_outputs_are_those_requested(record: str, final: bool, gradient: bool) -> None:
    given = stack((70, 66, 66, 3), record=record, final=final)
    with torch.set_grad_enabled(gradient):
        own = leaves_of(given)[0]
        outputs = by_engine(own.spikes, own.layers, record=record, final=final)
    expected = by_reference(given.spikes, given.layers)
    for index, (one, other) in enumerate(zip(outputs, expected, strict=True)):
        recorded = record == "all" or index == 2
        assert (one.spikes is None, one.membrane is None) == (not recorded, not recorded)
        assert (one.final is None) == (not final)
        assert torch.equal(one.counts, other.counts)
        assert not one.counts.requires_grad
        if final:
            torch.testing.assert_close(detach(one).final, other.final, rtol=DOUBLE, atol=DOUBLE)
            assert one.final.requires_grad == gradient
        if recorded:
            assert one.membrane.requires_grad == gradient
            assert one.spikes.requires_grad == gradient


def test_one_layer_twice_is_recorded_once() -> None:
    params = layer(66, 66)
    outputs = by_engine(spikes(5, 2, 66), [params, params], record="output", final=False)
    assert [one.spikes is None for one in outputs] == [True, False]

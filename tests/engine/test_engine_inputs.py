"""Whatever a network is fed: any dtype and layout, analog, constant in time, not a number.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist import engine, ops
from tests.engine.agreement import (
    assert_gradients_agree,
    assert_same_membranes,
    assert_same_spikes,
    magnitudes,
)
from tests.engine.stacks import (
    PARTS,
    answer,
    by_engine,
    by_reference,
    cast,
    detach,
    layer,
    leaves_of,
    loss_of,
    loss_weights,
    spikes,
    stack,
)

if TYPE_CHECKING:
    from torch import Tensor

    from tests.engine.stacks import Stack

DOUBLE = 1e-10
PRECISIONS = [torch.float32, torch.float64]
INPUT_DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


def compare(given: Stack) -> None:
    towards = loss_weights(given)
    found, expected = (answer(run, given, towards) for run in (by_engine, by_reference))
    assert_same_spikes(found, expected)
    assert_same_membranes(found, expected, DOUBLE)
    sizes = magnitudes(given, towards, expected)
    assert_gradients_agree(found, expected, sizes, DOUBLE)


def weights_and_input_gradient(given: Stack, fed: Tensor) -> tuple[Tensor, ...]:
    """Return membranes, and the gradients of the weights, and of the input where it floats."""
    own, leaves = leaves_of(given)
    did = engine.run(own.layers, fed)
    wanted = [leaves["weight 0"], *([fed] if fed.requires_grad else [])]
    return did[-1].membrane, *torch.autograd.grad(loss_of(did, loss_weights(given)), wanted)


@pytest.mark.parametrize("dtype", INPUT_DTYPES)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("density", [0.3, 0.9])
def test_spikes_of_any_dtype(dtype: torch.dtype, precision: torch.dtype, density: float) -> None:
    given = stack((130, 66, 4), density=density, dtype=precision)
    fed = given.spikes.to(dtype)
    fed.requires_grad_(fed.is_floating_point())
    membrane, *gradients = weights_and_input_gradient(given, fed)
    expected = given.spikes.to(precision).requires_grad_()
    wanted = weights_and_input_gradient(given, expected)
    assert torch.equal(membrane, wanted[0])
    assert torch.equal(gradients[0], wanted[1])
    assert all(value.dtype == precision for value in (membrane, gradients[0]))
    if fed.requires_grad:
        assert gradients[1].dtype == dtype
        assert torch.equal(gradients[1], wanted[2].to(dtype))


NUMBERS = {
    "grey": lambda steps, random: torch.rand(steps, 3, 70, generator=random),
    "negative": lambda steps, random: torch.randn(steps, 3, 70, generator=random),
    "counts": lambda steps, random: torch.randint(3, (steps, 3, 70), generator=random).float(),
    "one two": lambda steps, random: _one_other(steps, 2.0),
    "one half": lambda steps, random: _one_other(steps, 0.5),
    "minus one": lambda steps, random: _one_other(steps, -1.0),
    "a denormal": lambda steps, random: _one_other(steps, 1e-45),
}


def _one_other(steps: int, number: float) -> Tensor:
    fed = spikes(steps, 3, 70)
    fed[-1, 1, 69] = number
    return fed


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("sizes", [(70, 66, 3), (70, 5)])
def test_numbers_that_are_not_spikes(numbers: str, steps: int, sizes: tuple[int, ...]) -> None:
    fed = NUMBERS[numbers](steps, torch.Generator().manual_seed(0))
    given = stack(sizes, initial=True, record="all")
    compare(replace(given, spikes=fed))
    compare(replace(given, spikes=fed.double()))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
@pytest.mark.parametrize("number", [2, 255])
def test_integers_that_are_not_spikes(dtype: torch.dtype, number: int) -> None:
    given = stack((70, 5))
    fed = given.spikes.to(dtype)
    fed[2, 1, 3] = number
    compare(replace(given, spikes=fed))


def test_minus_zero_is_silence() -> None:
    given = stack((70, 5))
    fed = torch.where(given.spikes == 0, -0.0, given.spikes)
    assert fed.signbit().any()
    membrane = by_engine(fed, given.layers, record="output", final=False)[0].membrane
    expected = by_engine(given.spikes, given.layers, record="output", final=False)[0].membrane
    assert torch.equal(membrane, expected)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("feature", [0, 69])
def test_what_is_not_finite_stays_with_its_sample(number: float, feature: int) -> None:
    given = stack((70, 66, 3), record="all", beta=0.9)
    fed = given.spikes.double()
    fed[3, 1, feature] = number
    found = by_engine(fed, given.layers, record="all", final=False)
    expected = by_reference(fed, given.layers)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.spikes, other.spikes)
        torch.testing.assert_close(
            one.membrane, other.membrane, rtol=DOUBLE, atol=DOUBLE, equal_nan=True
        )
    assert not found[0].membrane[3:, 1].isfinite().any()
    assert found[0].membrane[:, [0, 2]].isfinite().all()


@pytest.mark.parametrize("steps", [1, 2, 70])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("sizes", [(70, 66, 3), (70, 5)])
@pytest.mark.parametrize("differentiated", [False, True])
def test_an_input_constant_in_time(
    steps: int, binary: bool, sizes: tuple[int, ...], differentiated: bool
) -> None:
    """As the direct encoder returns it: one image, expanded over the timesteps."""
    given = stack(sizes, initial=True)
    random = torch.Generator().manual_seed(0)
    image = torch.rand(3, 70, generator=random, dtype=torch.float64)
    image = (image < 0.3).double() if binary else image
    towards = loss_weights(replace(given, spikes=image.expand(steps, 3, 70)))
    results = []
    for run in (by_engine, by_reference):
        own, leaves = leaves_of(given)
        leaf = image.clone().requires_grad_(differentiated)
        did = run(leaf.expand(steps, 3, 70), own.layers, record="output", final=False)
        wanted = [value for name, value in leaves.items() if name != "input"]
        wanted += [leaf] if differentiated else []
        results.append([did[-1].membrane, *torch.autograd.grad(loss_of(did, towards), wanted)])
    for found, expected in zip(*results, strict=True):
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(found, expected, rtol=0, atol=DOUBLE * scale)


LAYOUTS = {
    "batch first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "reversed axes": lambda x: x.permute(2, 1, 0).contiguous().permute(2, 1, 0),
    "every other": lambda x: x.repeat_interleave(2, 0).repeat_interleave(2, 2)[::2, :, ::2],
    "a part": lambda x: torch.nn.functional.pad(x, (3, 4, 1, 2))[:, 1:-2, 3:-4],
    "one sample for all": lambda x: x[:, :1].expand(-1, 3, -1),
    "one feature for all": lambda x: x[:, :, :1].expand(-1, -1, x.shape[2]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
@pytest.mark.parametrize("analog", [False, True])
def test_memory_layout_does_not_matter(layout: str, dtype: torch.dtype, analog: bool) -> None:
    given = stack((70, 66, 3), beta=0.9)
    fed = given.spikes * (0.5 if analog and dtype == torch.float32 else 1)
    view = LAYOUTS[layout](fed.to(dtype))
    assert not view.is_contiguous()
    found = weights_and_input_gradient(given, view)
    expected = weights_and_input_gradient(given, view.contiguous())
    assert all(map(torch.equal, found, expected))


def test_parameters_in_any_layout() -> None:
    given = stack((70, 66, 3), initial=True)
    strided = [
        replace(
            each,
            **{
                part: value.repeat_interleave(2, -1)[..., ::2]
                for part in PARTS
                if (value := getattr(each, part)).dim()
            },
        )
        for each in given.layers
    ]
    strided[0] = replace(strided[0], weight=strided[0].weight.T.contiguous().T)
    assert not any(each.weight.is_contiguous() for each in strided)
    compare(replace(given, layers=strided))


@pytest.mark.parametrize("analog", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.25])
@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
def test_layers_without_weights(analog: bool, dropout: float, reset_mechanism: str) -> None:
    """Their input is their current, whatever dropout did to it on the way."""
    given = stack(
        (66, 66, 66), initial=True, dropout=dropout, record="all", reset_mechanism=reset_mechanism
    )
    fed = given.spikes * (0.7 if analog else 1)
    first, second = given.layers
    bare = replace(second, weight=None, bias=None)
    for layers in ([bare], [bare, first], [first, bare], [first, bare, layer(4, 66, seed=2)]):
        layers[0] = replace(layers[0], dropout=0.0)
        compare(replace(given, spikes=fed, layers=layers))


@pytest.mark.parametrize("features", [3, 70, 200])
def test_layers_without_weights_are_as_wide_as_the_one_below(features: int) -> None:
    """Dropout draws for their neurons, whatever the size of the network's input."""
    given = stack((features, 66, 66), dropout=0.25, record="all")
    first, second = given.layers
    bare = replace(second, weight=None, bias=None)
    compare(replace(given, layers=[first, bare, layer(4, 66, seed=2)]))


# Indices of events are 16 bits wide where that is enough.
@pytest.mark.parametrize(("steps", "features"), [(3, (1 << 16) + 1), ((1 << 15) + 1, 3)])
def test_more_features_or_timesteps_than_sixteen_bits_tell_apart(steps: int, features: int) -> None:
    fed = torch.zeros(steps, 1, features)
    fed[0, 0, 0] = fed[-1, 0, -1] = fed[steps // 2, 0, 1] = 1
    each = layer(3, features, beta=0.5, numbers="short")
    weight = each.weight.requires_grad_()
    (did,) = engine.run([each], fed)
    assert torch.equal(did.membrane[0, 0], weight[:, 0] + each.bias)
    towards = torch.zeros_like(did.membrane)
    towards[0], towards[-1], towards[steps // 2] = 1, 2, 4
    (gradient,) = torch.autograd.grad(did.membrane, weight, towards)
    (expected,) = torch.autograd.grad(by_reference(fed, [each])[0].membrane, weight, towards)
    assert torch.equal(gradient, expected)


def test_inputs_stay_and_outputs_are_fresh() -> None:
    given = stack((70, 66, 3), initial=True, record="all", final=True, dropout=0.5)
    leaves = [given.spikes, *(getattr(each, part) for each in given.layers for part in PARTS)]
    before = [leaf.clone() for leaf in leaves]
    own, tracked = leaves_of(given)
    did = by_engine(own.spikes, own.layers, record="all", final=True)
    loss_of(did, loss_weights(given)).backward()
    outputs = [value for one in did for value in (one.spikes, one.membrane, one.final, one.counts)]
    gradients = [leaf.grad for leaf in tracked.values()]
    assert all(map(torch.equal, leaves, before))
    everything = [*leaves, *tracked.values(), *outputs, *gradients]
    assert len({value.data_ptr() for value in everything}) == len(everything)
    kept = [value.detach().clone() for value in outputs]
    for leaf in leaves:
        leaf.fill_(float("nan"))
    assert all(torch.equal(detached, value) for detached, value in zip(kept, outputs, strict=True))


@pytest.mark.parametrize("record", ["output", "all"])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
def test_what_is_returned_is_what_was_asked_for(record: str, final: bool, gradient: bool) -> None:
    given = stack((70, 66, 66, 3), record=record, final=final)
    with torch.set_grad_enabled(gradient):
        own = leaves_of(given)[0]
        did = by_engine(own.spikes, own.layers, record=record, final=final)
    expected = by_reference(given.spikes, given.layers)
    for index, (one, other) in enumerate(zip(did, expected, strict=True)):
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
    """A layer that appears in several places is the last one only in the last of them."""
    each = layer(66, 66)
    did = by_engine(spikes(5, 2, 66), [each, each], record="output", final=False)
    assert [one.spikes is None for one in did] == [True, False]


MISFITS = {
    "weight": {"weight": torch.zeros(5, 60)},
    "initial": {"initial": torch.zeros(2, 5)},
    "initial of few": {"initial": torch.zeros(3, 4)},
    "bias": {"bias": torch.zeros(4)},
    "beta": {"beta": torch.zeros(4)},
    "threshold": {"threshold": torch.ones(3, 5)},
    "dtype of beta": {"beta": torch.tensor(0.9, dtype=torch.float64)},
    "dtype of weight": {"weight": torch.zeros(5, 70, dtype=torch.float64)},
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_is_refused(misfit: str) -> None:
    """Kernels check no bounds: they would read and write the memory of others."""
    each = cast(layer(5, 70), torch.float32)
    name = misfit.split()[-1] if "dtype" in misfit else misfit.split()[0]
    with pytest.raises((ValueError, TypeError), match=name):
        engine.run([replace(each, **MISFITS[misfit])], spikes(7, 3, 70))


def test_an_input_of_other_dimensions_is_refused() -> None:
    each = layer(5, 70)
    for shape in ((3, 70), (7, 3, 10, 7), (0, 3, 70)):
        with pytest.raises(ValueError, match=r"\[T, B, F\]"):
            engine.run([each], torch.zeros(shape))

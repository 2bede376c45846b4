"""Shapes and dtypes that do not fit raise an error: kernels do not check bounds.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikemnist.engine import autograd, convolution
from tests.laws.layers import by_reference
from tests.laws.stacks import PARTS, Stack, layer, spikes, stack
from tests.strategies import SEEDS

T, B, F, N = 7, 3, 70, 5
SIZES = (1, 2, 5, 63, 64, 65, 70, 127)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)


def wrong(tensor: Tensor) -> st.SearchStrategy[Tensor]:
    """Draw a tensor of another shape or dtype, mostly zeros."""
    shape = tuple(tensor.shape)
    pieces = [(shape[:axis], shape[axis + 1 :]) for axis in range(len(shape))]
    shapes = [(*left, size, *right) for left, right in pieces for size in (0, *SIZES, 785)]
    shapes += [left + right for left, right in pieces] + [(1, *shape), (*shape, 2)]
    random = torch.Generator().manual_seed(0)
    resized = st.sampled_from(shapes).map(
        lambda shape: (torch.rand(shape, generator=random) < 0.3).to(tensor.dtype)
    )
    return resized | st.sampled_from(DTYPES).map(tensor.to)


@st.composite
def misfits(draw: st.DrawFn) -> Stack:
    """Draw a stack of layers in which the input or a parameter does not fit."""
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=2, max_size=3))
    steps, batch = draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES[:4]))
    drawn = stack(sizes, steps=steps, batch=batch, initial=True, seed=draw(SEEDS))
    place = draw(st.integers(-1, len(drawn.layers) - 1))
    if place < 0:
        return replace(drawn, spikes=draw(wrong(drawn.spikes)))
    part = draw(st.sampled_from(PARTS))
    changed = replace(
        drawn.layers[place], **{part: draw(wrong(getattr(drawn.layers[place], part)))}
    )
    return replace(drawn, layers=[*drawn.layers[:place], changed, *drawn.layers[place + 1 :]])


@given(misfits())
def test_no_misfit_reaches_a_kernel(given: Stack) -> None:
    """It raises an error, or has the result of plain torch."""
    for params in given.layers:
        for part in PARTS:
            tensor = getattr(params, part)
            tensor.requires_grad_(tensor.is_floating_point())
    try:
        result = autograd.run(given.layers, given.spikes, record="all", final=True)[-1].membrane
        result.sum().backward()
    except (ValueError, TypeError):
        return
    expected = by_reference(given.spikes, given.layers)[-1].membrane
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


@given(st.data())
def test_no_misfit_reaches_the_kernel_of_convolutions(data: st.DataObject) -> None:
    random = torch.Generator().manual_seed(0)
    tensors = [
        (torch.rand(3, 2, 6, 7, generator=random) < 0.1).double(),
        torch.randn(64, 2, 3, 2, generator=random, dtype=torch.float64).requires_grad_(),
        torch.randn(64, generator=random, dtype=torch.float64).requires_grad_(),
    ]
    place = data.draw(st.integers(0, 2))
    tensors[place] = data.draw(wrong(tensors[place].detach()))
    stride = data.draw(st.tuples(st.integers(-1, 3), st.integers(1, 3)))
    padding = data.draw(st.tuples(st.integers(-1, 2), st.sampled_from([0, 9])))
    try:
        result = convolution.convolve(*tensors, stride=stride, padding=padding)
        result.sum().backward()
    except (ValueError, TypeError, RuntimeError):
        return
    images, weight, bias = tensors
    expected = nn.functional.conv2d(images.to(weight.dtype), weight, bias, stride, padding)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("part", PARTS)
def test_parameters_have_one_dtype(part: str) -> None:
    params = layer(N, F, batch=B)
    params = replace(params, **{part: getattr(params, part).float()})
    with pytest.raises(TypeError, match=r"must have the dtype torch\.float"):
        autograd.run([params], spikes(T, B, F))


def test_half_precision_is_refused() -> None:
    params = layer(N, F, dtype=torch.float16)
    with pytest.raises(TypeError, match=r"must be float32 or float64; got torch\.float16"):
        autograd.run([params], spikes(T, B, F))


@pytest.mark.parametrize("shape", [(B, F), (T, B, 10, 7), (0, B, F), (T, B, 0)])
def test_spikes_have_time_batch_and_features(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[T, B, F\]"):
        autograd.run([layer(N, F)], torch.zeros(shape))


@pytest.mark.parametrize("other", ["spikes", "weight"])
def test_other_devices_are_refused(other: str) -> None:
    params, fed = layer(N, F), spikes(T, B, F)
    if other == "spikes":
        fed = fed.to("meta")
    else:
        params = replace(params, weight=params.weight.to("meta"))
    with pytest.raises(TypeError, match="meta device"):
        autograd.run([params], fed)


def test_layers_fit_one_another() -> None:
    with pytest.raises(
        ValueError, match=r"weight must be of shape \(5, 66\); got torch.float64 of shape \(5, 65\)"
    ):
        autograd.run([layer(66, F), layer(N, 65)], spikes(T, B, F))

"""What does not fit is refused before a kernel runs: kernels do not check bounds.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikemnist import engine, ops
from spikemnist.encoding.kernels import once_on
from spikemnist.encoding.pixels import Ramp
from spikemnist.models import LeakyMLP
from spikemnist.ops.layer import LayerParams
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from spikemnist.plasticity.competitive_layer import CompetitiveLayer
from spikemnist.plasticity.conv_kernels import ConvFeatures
from tests.engine.stacks import PARTS, Stack, by_reference, stack
from tests.strategies import SEEDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SIZES = (1, 2, 5, 63, 64, 65, 70, 127)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)


def wrong(tensor: Tensor) -> st.SearchStrategy[Tensor]:
    """Tensors of another shape or dtype, with few numbers that are not zero."""
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
    """It is refused, or gives the result of plain torch, and the process survives."""
    for each in given.layers:
        for part in PARTS:
            tensor = getattr(each, part)
            tensor.requires_grad_(tensor.is_floating_point())
    try:
        found = engine.run(given.layers, given.spikes, record="all", final=True)[-1].membrane
        found.sum().backward()
    except (ValueError, TypeError):
        return
    expected = by_reference(given.spikes, given.layers)[-1].membrane
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@given(st.data())
def test_no_misfit_reaches_the_kernel_of_convolutions(data: st.DataObject) -> None:
    """Torch's own convolution runs what the kernel does not, and refuses some of it itself."""
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
        found = engine.convolve(*tensors, stride=stride, padding=padding)
        found.sum().backward()
    except (ValueError, TypeError, RuntimeError):
        return
    images, weight, bias = tensors
    expected = nn.functional.conv2d(images.to(weight.dtype), weight, bias, stride, padding)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def by_engine(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the membranes of neurons that never fire and forget at once: their current."""
    layer = LayerParams(
        weight=weight,
        bias=bias,
        beta=torch.zeros((), dtype=weight.dtype),
        threshold=torch.full((), 1e9).to(weight.dtype),
        reset_mechanism="none",
        spike_grad=ops.ATan(),
    )
    (output,) = engine.run([layer], spikes)
    return output.membrane


@given(
    st.integers(1, 130),
    st.integers(1, 130),
    st.sampled_from([by_engine, ops.linear]),
)
def test_features_are_compared_with_weights(
    features: int, columns: int, weigh: Callable[..., Tensor]
) -> None:
    spikes, weight = torch.zeros(2, 1, features), torch.zeros(3, columns)
    if features == columns:
        assert weigh(spikes, weight).shape == (2, 1, 3)
        return
    wanted = re.escape(f"for the {features} features of the layer's input; got {(3, columns)}")
    with pytest.raises(ValueError, match=wanted):
        weigh(spikes, weight)


@pytest.mark.parametrize("weigh", [by_engine, ops.linear])
def test_a_bias_has_a_number_for_each_neuron(weigh: Callable[..., Tensor]) -> None:
    spikes, weight = torch.zeros(2, 1, 4), torch.zeros(3, 4)
    with pytest.raises(ValueError, match=r"bias must have the shape \(3,\); got \(2,\)"):
        weigh(spikes, weight, torch.zeros(2))
    with pytest.raises(TypeError, match="bias must have the dtype of"):
        weigh(spikes, weight, torch.zeros(3, dtype=torch.float64))


NOTHING: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "weights of no feature": ((2, 1, 784), (3, 0)),
    "no neurons": ((2, 1, 4), (0, 4)),
    "no features": ((2, 1, 0), (3, 0)),
    "no timesteps": ((0, 1, 4), (3, 4)),
    "no batch axis": ((2, 4), (3, 4)),
    "pixels": ((2, 1, 2, 2), (3, 4)),
    "weights of one axis": ((2, 1, 4), (4,)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_sizes_that_are_zero_or_axes_that_are_missing(name: str) -> None:
    fed, weight = (torch.zeros(shape) for shape in NOTHING[name])
    with pytest.raises(ValueError, match=r"must be \["):
        by_engine(fed, weight)


@pytest.mark.parametrize("name", ["spikes", "weight", "bias"])
def test_what_is_not_on_the_cpu(name: str) -> None:
    tensors = {"spikes": torch.zeros(2, 1, 4), "weight": torch.zeros(3, 4), "bias": torch.zeros(3)}
    tensors[name] = tensors[name].to("meta")
    with pytest.raises(ValueError, match=f"{name} must be a dense tensor on the CPU"):
        by_engine(**tensors)


def test_weights_of_another_dtype() -> None:
    with pytest.raises(TypeError, match=r"must be float32 or float64; got torch\.int64"):
        by_engine(torch.zeros(2, 1, 4), torch.zeros(3, 4, dtype=torch.int64))


def own_surrogate(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("layerwise", ["fused", "surrogate"])
@pytest.mark.parametrize("exchanged", [nn.Linear(785, 5), nn.Linear(783, 20), nn.Linear(784, 5)])
def test_a_layer_that_was_exchanged(exchanged: nn.Linear, layerwise: str, backend: Any) -> None:
    surrogate = own_surrogate if layerwise == "surrogate" else "atan"
    model = LeakyMLP(784, (20,), 10, spike_grad=surrogate, backend=backend)
    model.layers[0].linear = exchanged
    with pytest.raises(ValueError, match=r"layers\[\d\].linear takes \d+ features of each sample"):
        model(torch.zeros(3, 2, 784))


def test_parameters_that_change_before_the_backward_pass() -> None:
    own = stack((70, 65, 3))
    weight = own.layers[0].weight.requires_grad_()
    did = engine.run(own.layers, own.spikes)
    weight.data = torch.zeros(65, 7, dtype=torch.float64)
    with pytest.raises(ValueError, match="changed between the forward and the backward pass"):
        did[-1].membrane.sum().backward()


def convolved(shape: tuple[int, ...], weight: Tensor, **options: Any) -> Tensor:
    return engine.convolve(torch.zeros(shape), weight, **options)


def test_convolutions() -> None:
    weight = torch.zeros(32, 2, 3, 3).requires_grad_()
    with pytest.raises(ValueError, match="for the 1 channels of the images"):
        convolved((1, 1, 8, 8), weight)
    with pytest.raises(ValueError, match="bias must have the shape"):
        convolved((1, 2, 8, 8), weight, bias=torch.zeros(31))
    with pytest.raises(ValueError, match="stride must be at least 1"):
        convolved((1, 2, 8, 8), weight, stride=(0, 1))
    with pytest.raises(ValueError, match=r"a kernel of \(3, 3\) must fit images of \(2, 8\)"):
        convolved((1, 2, 2, 8), weight)
    out = convolved((1, 2, 8, 8), weight)
    weight.data = torch.zeros(32, 2, 9, 9)
    with pytest.raises(ValueError, match="changed between the forward and the backward pass"):
        out.sum().backward()


def test_encoders_write_within_their_timesteps() -> None:
    pixels = torch.rand(2, 5)
    good = Ramp(slope=-4.0, latest=4.0, first=0.0, silent_below=0.0)
    assert once_on(good, pixels, num_steps=5, dtype=torch.float32) is not None
    for wrong in ({"latest": 4.6}, {"first": 1.0}, {"first": -1.0}, {"slope": 1.0}):
        with pytest.raises(ValueError, match=r"spikes must lie in timesteps 0\.\.4"):
            once_on(good._replace(**wrong), pixels, num_steps=5, dtype=torch.float32)


def test_competing_neurons() -> None:
    weights, theta = torch.zeros(4, 9).numpy(), torch.zeros(4).numpy()
    parameters = STDPClassifier(theta_plus=0.05, learning_rate=0.01).get_params()
    layer = CompetitiveLayer(parameters, weights, theta)
    with pytest.raises(ValueError, match=r"images must be \[B, 9\]"):
        layer.respond(torch.zeros(1, 10), 0)
    with pytest.raises(ValueError, match=r"weights must be \[N, F\]"):
        layer.set(weights, theta[:3])
    with pytest.raises(TypeError, match="must be float32"):
        layer.set(weights.astype(float), theta)


def test_convolutional_features() -> None:
    weights = torch.zeros(4, 2, 3, 3).numpy()
    parameters = ConvSTDPClassifier().get_params()
    features = ConvFeatures(parameters, weights, (8, 8))
    with pytest.raises(ValueError, match=r"spikes must be \[T, B, 128\]"):
        features.see(torch.zeros(2, 1, 129))
    with pytest.raises(ValueError, match="images of at least K x K pixels"):
        ConvFeatures(parameters, weights, (2, 8))
    with pytest.raises(TypeError, match="must be float32"):
        ConvFeatures(parameters, weights.astype(float), (8, 8))

"""What does not fit is refused before a kernel runs: kernels do not check bounds.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import re
import subprocess
import sys
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
from tests.engine.stacks import stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

TRIES = 44
CASES = """
import faulthandler, random, sys
from benchmarks.attacks import shapes

faulthandler.enable()
for seed in range(int(sys.argv[1])):
    for case in (shapes.shape_case, shapes.exchanged_case, shapes.stdp_case):
        print(case.__name__, seed, file=sys.stderr, flush=True)  # for a process that dies
        if failure := case(None, random.Random(seed), None):
            print(case.__name__, seed, failure)
"""


def test_no_misfit_reaches_a_kernel() -> None:
    """In a process of its own, which an access out of bounds would end."""
    done = subprocess.run(
        [sys.executable, "-c", CASES, str(TRIES)],
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == ""
    assert done.stderr.count("_case ") == 3 * TRIES


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

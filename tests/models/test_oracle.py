"""Networks against snnTorch's loop over time, gradients of every parameter included.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.nn import functional

from spikemnist import ops
from spikemnist.models import LeakyMLP, accelerate
from tests.models.stepped_network import (
    BACKENDS,
    STEPPED,
    assert_close,
    assert_equals_the_loop,
    conv,
    gradients,
    images,
    lively,
    loss,
    mlp,
    neuron,
    other_modules,
)
from tests.pairs import Case, named, pairs

if TYPE_CHECKING:
    Network = Callable[..., nn.Sequential]

NETWORKS: dict[str, Network] = {
    "one layer": lambda **options: mlp(196, 4, **options),
    "two layers": lambda **options: mlp(196, 9, 4, **options),
    "three layers": lambda **options: mlp(196, 9, 7, 4, **options),
    "convolutions": conv,
    "other modules": other_modules,
}
LEARN = {"learn_beta": True, "learn_threshold": True, "spike_grad": ops.ATan()}


def own_surrogate(x: Tensor) -> Tensor:
    """Return the step of ``x``, with the gradient of a Gaussian bump."""
    bump = torch.erf(x)
    return (x > 0).to(x.dtype) + (bump - bump.detach())


class Softened(ops.Surrogate):
    """A surrogate without code in the engine."""

    def derivative_(self, x: Tensor) -> Tensor:
        return x.abs_().add_(1).reciprocal_()


class Steeper(ops.ATan):
    """Another derivative than that of the class whose code is in the engine."""

    def derivative_(self, x: Tensor) -> Tensor:
        return super().derivative_(x).mul_(3)


OWN = {"own": own_surrogate, "softened": Softened(), "steeper": Steeper()}


def is_possible(case: Case) -> bool:
    """torch's adaptive pooling takes no empty batch, and the kernels know their own surrogates."""
    known = case["spike_grad"] in ops.SURROGATES
    pooled = case["network"] == "other modules"
    return (known or case["backend"] != "event_driven") and not (pooled and case["size"] == (5, 0))


DESIGN = pairs(
    is_possible,
    network=list(NETWORKS),
    reset_mechanism=ops.RESET_MECHANISMS,
    spike_grad=[*ops.SURROGATES, *OWN],
    size=[(7, 3), (1, 1), (1, 3), (5, 1), (5, 0)],
    constant=[False, True],
    learn_beta=[False, True],
    learn_threshold=[False, True],
    init_hidden=[False, True],
    output=[False, True],
    backend=BACKENDS,
)


@pytest.mark.parametrize("case", DESIGN, ids=named)
def test_every_pair_of_settings(case: Case) -> None:
    """With stride 0 along time the first currents are computed once; the numbers are the same."""
    name = case["spike_grad"]
    surrogate = OWN.get(name) or ops.get_surrogate(name)
    flags = ("reset_mechanism", "learn_beta", "learn_threshold", "init_hidden", "output")
    network = NETWORKS[case["network"]](
        spike_grad=surrogate, **{flag: case[flag] for flag in flags}
    )
    steps, batch = case["size"]
    image = torch.rand(batch, 1, 14, 14, generator=torch.Generator().manual_seed(0)) * 2
    fed = image.expand(steps, -1, -1, -1, -1) if case["constant"] else images(steps, batch)
    record = assert_equals_the_loop(network, fed, case["backend"])
    if case["size"] == (7, 3) and not case["constant"]:
        assert all(0 < layer.spikes.mean() < 1 for layer in record.layers)


PER_NEURON = {
    "beta": [[0.1 * i for i in range(9)], 0.8, [0.9, 0.99, 0.5, 0.0]],
    "threshold": [1.0, [0.5 + 0.1 * i for i in range(7)], torch.full((4,), 0.7)],
}


@pytest.mark.parametrize("options", [{}, PER_NEURON], ids=["layers", "neurons"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_perceptron(options: dict[str, Any], backend: str) -> None:
    model = lively(LeakyMLP((9, 7), in_features=196, out_features=4, **LEARN, **options))
    assert_equals_the_loop(model.network, images(), backend)


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
@pytest.mark.parametrize("backend", ["auto", "reference", *STEPPED])
@pytest.mark.parametrize("network", ["two layers", "convolutions"])
def test_one_surrogate_of_ones_own_among_others(network: str, backend: str) -> None:
    made = NETWORKS[network](**LEARN)
    made[-1].spike_grad = own_surrogate
    assert_equals_the_loop(made, images(), backend)


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
@pytest.mark.parametrize("backend", ["auto", "reference", *STEPPED])
def test_surrogates_disabled(backend: str) -> None:
    """No gradient passes a spike, and the membranes have theirs."""
    made = mlp(196, 9, 4, surrogate_disable=True)
    assert_equals_the_loop(made, images(), backend)
    record = accelerate(made, backend=backend)(images())
    assert not gradients(made, lambda: record.membrane.sum())["1.weight"].any()


SHAPES = {
    "a number for all, in one entry": [(1,), (1,), (1,)],
    "for each channel, or each neuron": [(3, 1, 1), (5, 1, 1), (4,)],
    "for each neuron": [(3, 6, 6), (5, 2, 2), (1, 4)],
    "for each column, or a number": [(6,), (2, 1), ()],
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shapes", SHAPES)
def test_parameters_of_any_shape_that_snntorch_takes(shapes: str, backend: str) -> None:
    network, random = conv(**LEARN), torch.Generator().manual_seed(3)
    neurons = [module for module in network if isinstance(module, snntorch.Leaky)]
    for leaky, shape in zip(neurons, SHAPES[shapes], strict=True):
        leaky.beta = nn.Parameter(torch.rand(shape, generator=random) * 1.4 - 0.2)
        leaky.threshold = nn.Parameter(torch.rand(shape, generator=random) + 0.2)
    assert_equals_the_loop(network, images(), backend)


@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend != "snntorch"])
def test_convolution_of_a_constant_input(backend: str) -> None:
    model = accelerate(conv(**LEARN), backend=backend)
    image = torch.rand(3, 1, 14, 14)
    with mock.patch.object(functional, "conv2d", wraps=functional.conv2d) as convolve:
        model(image.expand(7, -1, -1, -1, -1))
        model(image.repeat(7, 1, 1, 1, 1))
    assert [len(call.args[0]) for call in convolve.call_args_list] == [3, 21, 21, 21]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float32]
)
def test_spikes_of_any_dtype(dtype: torch.dtype, backend: str) -> None:
    for make in (NETWORKS["two layers"], conv, other_modules):
        network = make(**LEARN).double()
        result, expected = (
            accelerate(network, backend=backend)(images().to(kind))
            for kind in (dtype, torch.float64)
        )
        assert torch.equal(result.membrane, expected.membrane)


@pytest.mark.parametrize("backend", BACKENDS)
def test_integer_parameters_of_the_neurons(backend: str) -> None:
    """``beta=1`` makes an integer of snnTorch's buffer."""
    network = lively(
        nn.Sequential(nn.Linear(6, 4), neuron(beta=1, threshold=2, spike_grad=ops.ATan()))
    )
    assert not network[1].beta.is_floating_point()
    spikes = images(side=6).flatten(2)[..., :6]
    assert_equals_the_loop(network, spikes, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_module_that_comes_twice(backend: str) -> None:
    """Weights in two places; the neurons are others each time."""
    shared, flatten = nn.Linear(9, 9), nn.Flatten()
    modules = [flatten, shared, neuron(**LEARN), flatten, shared, neuron(**LEARN)]
    spikes = images(side=3)
    record = assert_equals_the_loop(lively(nn.Sequential(*modules)), spikes, backend)
    assert record.sizes == {"hidden 1": 9, "output": 9}


@pytest.mark.parametrize("backend", BACKENDS)
def test_flatten_up_to_the_last_dimension(backend: str) -> None:
    """As snnTorch's tutorials flatten images, before the first layer and behind a convolution."""
    flatten = nn.Flatten(1, 3)
    dense = nn.Sequential(flatten, nn.Linear(16, 5), neuron(**LEARN))
    convolutional = nn.Sequential(nn.Conv2d(1, 2, 3), neuron(**LEARN), flatten, nn.Linear(8, 5))
    for network in (dense, nn.Sequential(*convolutional, neuron(**LEARN))):
        record = assert_equals_the_loop(lively(network), images(side=4), backend)
        assert record.backend == backend


def user_network(tutorial: str) -> nn.Sequential:
    """Return a network that snnTorch runs by itself, one call for each timestep."""
    if tutorial == "5":
        options = {"beta": 0.95, "init_hidden": True}
        hidden = nn.Flatten(), nn.Linear(784, 1000), neuron(**options)
        return nn.Sequential(*hidden, nn.Linear(1000, 10), neuron(**options, output=True))
    options = {"beta": 0.5, "init_hidden": True, "spike_grad": surrogate.fast_sigmoid(slope=25)}
    first = nn.Conv2d(1, 12, 5), nn.MaxPool2d(2), neuron(**options)
    second = nn.Conv2d(12, 64, 5), nn.MaxPool2d(2), neuron(**options)
    last = nn.Flatten(), nn.Linear(64 * 4 * 4, 10), neuron(**options, output=True)
    return lively(nn.Sequential(*first, *second, *last))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("tutorial", ["5", "6"])
def test_networks_of_the_tutorials_in_full_size(tutorial: str, backend: str) -> None:
    """In single precision, and run by snnTorch alone, without a helper of ours."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = user_network(tutorial)
    spikes = images(25 if tutorial == "5" else 8, 4, side=28)

    def theirs() -> tuple[Tensor, Tensor]:
        for leaky in network:
            if isinstance(leaky, snntorch.Leaky):
                leaky.reset_mem()
        fired, membrane = zip(*[network(step) for step in spikes], strict=True)
        return torch.stack(fired), torch.stack(membrane)

    fired, membrane = theirs()
    assert fired.any()
    record = accelerate(network, backend=backend)(spikes)
    assert torch.equal(record.spikes, fired)
    # Currents are sums of up to 1,024 terms (64 maps of 4 x 4), in an order that depends on the
    # number of threads: a relative error of 2**-24 * sqrt(1024) = 2e-6 is to be expected of each.
    torch.testing.assert_close(record.membrane, membrane, rtol=2e-6, atol=1e-5)
    result = gradients(network, lambda: loss(record.spikes, record.membrane))
    # Sums of thousands of terms round, in another order.
    assert_close(result, gradients(network, lambda: loss(*theirs())), 1e-4)

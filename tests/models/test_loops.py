"""Networks that loop over time themselves, and the layers that `accelerate` reads from a call.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import snntorch
import torch
from torch import Tensor, nn

from spikemnist import accelerate
from spikemnist.models import SpikingNetwork
from tests.models import loops_over_time as loops
from tests.models.loops_over_time import B, T

pytestmark = pytest.mark.filterwarnings("ignore:snnTorch steps this network")


@pytest.fixture(autouse=True)
def listed_neurons_are_taken_away(neurons: list[object]) -> None:
    """snnTorch lists the neurons that these tests make."""


def lively(network: nn.Module) -> Any:
    """Return a network whose weights let its neurons fire."""
    random = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        if weight.dim() > 1:
            scale = 3 / weight[0].numel() ** 0.5
            weight.data = torch.randn(weight.shape, generator=random) * scale + scale / 8
    return network


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def spikes(*shape: int) -> Tensor:
    return (images(*shape) < 0.3).float()


CHAINS: dict[str, tuple[Callable[[], Any], Tensor]] = {
    "membranes handed on": (loops.HandedOn, images(B, 784)),
    "spikes in": (loops.SpikesIn, spikes(T, B, 784)),
    "membranes kept": (loops.FullGraph, images(B, 784)),
    "convolutions": (loops.Convolutions, images(B, 1, 28, 28)),
    "a beta for each output": (loops.BetaForEach, images(B, 1, 28, 28)),
    "recurrent": (loops.Recurrent, images(B, 784)),
    "hidden states and dropout": (loops.Hidden, spikes(T, B, 784)),
    "counts": (loops.Counts, spikes(T, B, 1, 28, 28)),
    "frames": (loops.Frames, spikes(T, B, 2, 34, 34)),
    "as many timesteps as samples": (loops.SpikesIn, spikes(T, T, 784)),
    "currents first": (loops.CurrentsFirst, spikes(T, B, 784)),
    "lapicque": (partial(loops.FullGraph, snntorch.Lapicque), images(B, 784)),
    "own neurons": (
        partial(loops.SpikesIn, loops.Ternary),
        spikes(T, B, 784) - spikes(T, B, 784).flip(2),
    ),
}
STEPPED = {"recurrent": "RLeaky", "lapicque": "Lapicque", "own neurons": "Ternary"}


@pytest.mark.parametrize("name", CHAINS)
def test_loop_as_it_is_written(name: str) -> None:
    build, example = CHAINS[name]
    network = lively(build()).eval()
    neurons = [m for m in network.modules() if isinstance(m, snntorch.SpikingNeuron)]
    before = copy.deepcopy(network.state_dict())
    model = accelerate(network, example)
    assert all(torch.equal(x, before[key]) for key, x in network.state_dict().items())
    assert {id(p) for p in model.parameters()} == {id(p) for p in network.parameters()}

    calls: list[tuple[Tensor, Tensor]] = []
    hook = neurons[-1].register_forward_hook(lambda _, __, output: calls.append(output[:2]))
    network(example)
    hook.remove()
    expected, membrane = (torch.stack(values) for values in zip(*calls, strict=True))
    record = model(example if len(example) == T else example.expand(T, *example.shape))
    assert expected.any()
    assert torch.equal(record.spikes, expected)
    torch.testing.assert_close(record.membrane, membrane, rtol=1e-4, atol=1e-4)
    parameters = list(network.parameters())
    for actual, gradient in zip(
        torch.autograd.grad(record.membrane.sum(), parameters, allow_unused=True),
        torch.autograd.grad(membrane.sum(), parameters, allow_unused=True),
        strict=True,
    ):
        assert (actual is None) == (gradient is None)
        if gradient is not None:
            torch.testing.assert_close(actual, gradient, rtol=1e-3, atol=1e-3)
    kind = STEPPED.get(name)
    assert (kind is None) == (model.obstacle is None)
    assert kind is None or f"is {kind}" in str(model.obstacle)


def test_loop_outside_of_forward() -> None:
    network = lively(loops.TwoSpikes())
    currents = images(T, B, 784)
    model = accelerate(network, currents[0])
    network.lif1.reset_mem()
    network.lif2.reset_mem()
    expected = torch.stack([network(current)[1] for current in currents])
    assert expected.any()
    assert torch.equal(model(currents).spikes, expected)


@pytest.mark.parametrize(
    ("build", "inputs"),
    [
        (loops.pools_before, images(1, B, 1, 28, 28).expand(T, B, 1, 28, 28)),
        (loops.pools_behind, spikes(T, B, 2, 34, 34)),
    ],
)
def test_sequence_that_a_helper_steps(build: Callable[[], nn.Sequential], inputs: Tensor) -> None:
    network = lively(build())
    expected, membrane = loops.step_over_time(network, inputs)
    record = accelerate(network)(inputs)
    assert expected.any()
    assert torch.equal(record.spikes, expected)
    torch.testing.assert_close(record.membrane, membrane, rtol=1e-4, atol=1e-4)


def test_neurons_keep_their_states() -> None:
    network = lively(loops.Hidden())
    network.network_1(torch.ones(2, loops.HIDDEN, requires_grad=True))  # a state with a graph
    state = network.network_1.mem
    accelerate(network, spikes(T, B, 784))
    assert network.network_1.mem is state


def test_weights_too_small_to_fire() -> None:
    network = loops.HandedOn()
    for weight in network.parameters():
        weight.data *= 0.1
    assert isinstance(accelerate(network, images(B, 784)), SpikingNetwork)


@pytest.mark.parametrize(
    ("build", "example", "message"),
    [
        (loops.RateInside, images(B, 784), "fc1 takes something else than the example or"),
        (loops.Crossed, spikes(T, B, 784), "fc2 takes something else|lif1 is called 12 times"),
        (loops.Normalised, images(B, 784), r"fc1.1 takes one timestep alone, and layers"),
        (loops.Residual, spikes(T, B, 784), "fc2 takes something else than the output of lif1"),
        (loops.BatchFirst, spikes(B, T, 784), "fc1 takes something .* the first axis"),
        (loops.LayerByLayer, spikes(T, B, 784), "lif2 is not called in the first timestep"),
        (loops.WithoutGradient, images(B, 784), "it computes no gradients"),
        (loops.Truncated, images(B, 784), r"the gradient of \w+.\w+ is not that of its layer"),
        (loops.Probabilities, images(B, 784), r"it returns \(4, 10\), no spikes, membranes, or"),
        (loops.ChannelAdded, images(B, 28, 28), r"conv1 takes \[4, 1, 28, 28\], reshaped from"),
        (partial(nn.Linear, 784, 10), images(B, 784), "it calls no neurons of snnTorch"),
    ],
    ids=[
        "random", "crossed", "normalised", "residual", "batch first",
        "layer by layer", "without gradient", "truncated", "softmax", "channel", "no neurons",
    ],
)  # fmt: skip
def test_forward_that_is_no_chain(build: Any, example: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=rf"forward is no chain of layers over time: {message}"):
        accelerate(lively(build()), example)

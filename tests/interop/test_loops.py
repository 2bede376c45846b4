"""Networks that loop over time themselves, and the layers that `accelerate` reads from a call.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import make_dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn
from torch.nn.utils import prune

from spikemnist import accelerate
from spikemnist.models import SpikingNetwork
from tests.interop import loops_over_time as loops
from tests.interop.loops_over_time import B, Edited, T, first

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
    assert (kind is None) == (model.stepping_reason is None)
    assert kind is None or f"is {kind}" in str(model.stepping_reason)


def test_loop_outside_of_forward() -> None:
    network = lively(loops.TwoSpikes())
    currents = images(T, B, 784)
    with pytest.warns(UserWarning, match="forward runs one timestep. Over several, the acc"):
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


@pytest.mark.parametrize("build", [loops.WithoutReset, loops.OwnMembranes])
def test_loop_that_keeps_its_membranes(build: Callable[[], nn.Module]) -> None:
    with pytest.warns(UserWarning, match="keeps its membranes from call to call. .* at rest"):
        accelerate(lively(build()), images(B, 784))


def test_neurons_keep_their_states() -> None:
    network = lively(loops.Hidden())
    network.network_1(torch.ones(2, loops.HIDDEN, requires_grad=True))  # a state with a graph
    state = network.network_1.mem
    accelerate(network, spikes(T, B, 784))
    assert network.network_1.mem is state


def test_weights_without_a_shape() -> None:
    with pytest.raises(ValueError, match=r"have no shape yet; call net\(example\) once before"):
        accelerate(nn.Sequential(nn.LazyLinear(5), snntorch.Leaky(beta=0.9)), NUMBERS)


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


Pair = make_dataclass("Pair", ["spikes", "others"])
ALL_ONES = torch.ones(T, B, 12)
NUMBERS, ONE_STEP, ONE_SAMPLE = images(T, B, 12), images(1, B, 12), images(T, 1, 12)

INPUT = "it changes its input in place"
OTHER_INPUT = "drop takes something else than the example"
RANDOM = r"it draws random numbers of its own, in (eval|train)\(\)"
READS = r"it branches on values of tensors, or reads them by (__bool__|item), in eval"
FIRES = r"lif does not fire as its layer does"
GAIN = {"current": lambda net, current, t: current * (1 + t)}
SUM = {"begin": lambda net, x: x.sum(1, keepdim=True).expand_as(x)}

BESIDE_LAYERS: dict[str, tuple[dict[str, Any], Tensor, str]] = {
    "normalised": ({"begin": first(lambda net, x: x.sub_(0.1))}, NUMBERS, INPUT),
    "written": ({"begin": first(lambda net, x: x[0].fill_(0))}, NUMBERS, INPUT),
    "halved": ({"signal": lambda x, t: x[t].mul_(0.5)}, NUMBERS, INPUT),
    "max-norm": (
        {"begin": first(lambda net, x: net.fc.weight.copy_(net.fc.weight.renorm(2, 0, 0.3)))},
        NUMBERS, "it changes fc.weight, in eval",
    ),
    "a limit that no weight meets": (
        {"begin": first(lambda net, x: net.fc.weight.data.clamp_(-1e9, 1e9))},
        NUMBERS, "it changes fc.weight, in eval",
    ),
    "a limit in training": (
        {"begin": first(lambda net, x: net.training and net.fc.weight.clamp_(-0.1, 0.1))},
        NUMBERS, "it changes fc.weight, in train",
    ),
    "other data": (
        {"begin": first(lambda net, x: setattr(net.fc.bias, "data", net.fc.bias.data.clone()))},
        NUMBERS, "it changes fc.bias",
    ),
    "threshold": (
        {"begin": first(lambda net, x: net.lif.threshold.fill_(0.2))},
        NUMBERS, "it changes lif.threshold",
    ),
    "probability of dropout": (
        {"begin": first(lambda net, x: setattr(net.drop, "p", 0.5))},
        NUMBERS, "it changes drop.p",
    ),
    "dropout in evaluation": ({"begin": first(lambda net, x: net.drop.train())}, NUMBERS, RANDOM),
    "random branch": (
        {"begin": lambda net, x: x.flip(2) if net.training and torch.rand(()) < 0.4 else x},
        NUMBERS, RANDOM,
    ),
    "Python's random": ({"begin": first(lambda net, x: random.random())}, NUMBERS, RANDOM),
    "NumPy's random": (
        {"begin": first(lambda net, x: np.random.rand())},  # noqa: NPY002
        NUMBERS, RANDOM,
    ),
    "reversed": ({"begin": lambda net, x: x.flip(0)}, ALL_ONES, OTHER_INPUT),
    "batch first": ({"signal": lambda x, t: x[:, t]}, torch.ones(B, B, 12), OTHER_INPUT),
    "first timestep alone": ({"signal": lambda x, t: x[0]}, ALL_ONES, FIRES),
    "mean over time": ({"signal": lambda x, t: x.mean(0)}, ALL_ONES, OTHER_INPUT),
    "running maximum": ({"signal": lambda x, t: x[: t + 1].amax(0)}, ALL_ONES, FIRES),
    "flipped": ({"begin": lambda net, x: x.flip(2)}, ALL_ONES, OTHER_INPUT),
    "rolled": ({"begin": lambda net, x: x.roll(1, 1)}, ALL_ONES, OTHER_INPUT),
    "squared": ({"begin": lambda net, x: x * x}, ALL_ONES, OTHER_INPUT),
    "gain": (GAIN, ONE_STEP, FIRES),
    "gain, one sample": (GAIN, images(1, 1, 12), FIRES),
    "leak": ({"membrane": lambda mem, t: mem * 0.5 if t else mem}, ONE_STEP, FIRES),
    "cut graph": (
        {"membrane": lambda mem, t: mem.detach()}, ONE_STEP, "the gradient of fc.weight is not",
    ),
    "sum over the batch": (SUM, ONE_SAMPLE, OTHER_INPUT),
    "sum over the batch, one timestep": (SUM, images(1, 1, 12), OTHER_INPUT),
    "at most ten timesteps": (
        {"steps": lambda x: min(len(x), 10)}, NUMBERS, "lif is called 10 times in 12 timesteps",
    ),
    "from the eighth timestep": (
        {"current": lambda net, current, t: current * (2 if t >= 7 else 1)}, NUMBERS, FIRES,
    ),
    "truncated after ten": (
        {"membrane": lambda mem, t: mem.detach() if t == 10 else mem},
        NUMBERS, "the gradient of fc.weight is not",
    ),
    "mask of ones": (
        {"current": lambda net, current, t: current * net.mask},
        NUMBERS, "it computes with mask, which no layer has",
    ),
    "probabilities in a dataclass": (
        {"end": lambda spikes, membranes: Pair(spikes, membranes[-1].softmax(-1))},
        NUMBERS, "it returns .4, 5., no spikes",
    ),
    "an array": (
        {"end": lambda spikes, membranes: (spikes, membranes[-1].detach().numpy())},
        NUMBERS, "it returns ndarray, no tensors",
    ),
    "a branch on the input": (
        {"begin": lambda net, x: 2 * x if x.sum() > 1e9 else x}, NUMBERS, READS,
    ),
    "a branch on a number": (
        {"current": lambda net, x, t: 2 * x if x.mean().item() > 1e9 else x}, NUMBERS, READS,
    ),
    "samples in place of features": (
        {"signal": lambda x, t: x[t].reshape(-1, 12)},
        images(T, B, 2, 12), r"drop takes \[8, 12\], reshaped from \[4, 2, 12\]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE_LAYERS)
def test_forward_that_does_more_than_its_layers(name: str) -> None:
    parts, example, message = BESIDE_LAYERS[name]
    network, before = lively(Edited(**parts)), example.clone()
    state = copy.deepcopy(network.state_dict())
    with pytest.raises(ValueError, match=rf"forward is no chain of layers over time: {message}"):
        accelerate(network, example)
    assert torch.equal(example, before)
    assert all(torch.equal(x, state[key]) for key, x in network.state_dict().items())


class OwnTrain(Edited):
    def train(self, positive: Tensor, negative: Tensor) -> None:  # type: ignore[override]
        raise AssertionError


class KeepsTensors(Edited):
    calls, last = 0, None

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        self.last = super().forward(x)[0]
        return self.last


def called(network: nn.Module) -> nn.Module:
    network(NUMBERS)
    return network


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() < 1e9 else 2 * x


def gated() -> nn.Module:
    network = Edited()
    network.drop = Gate()
    return network


def pruned() -> nn.Module:
    network = Edited()
    prune.l1_unstructured(network.fc, "weight", 0.3)
    return network


@pytest.mark.parametrize(
    ("build", "example"),
    [
        (partial(Edited, steps=lambda x: T), NUMBERS),
        (partial(Edited, steps=lambda x: T), ALL_ONES),
        (partial(Edited, signal=lambda x, t: x[t].view(B, -1)), images(T, B, 3, 4)),
        (Edited, ONE_STEP),
        (Edited, ONE_SAMPLE),
        (Edited, images(1, 1, 12)),
        (Edited, (NUMBERS > 0.5).double().float()),
        (partial(Edited, begin=lambda net, x: x.float()), NUMBERS > 0.5),
        (partial(Edited, end=lambda spikes, _: (torch.stack(spikes).bool(), None)), NUMBERS),
        (partial(Edited, end=lambda spikes, _: torch.stack(spikes).sum(0).int()), NUMBERS),
        (partial(Edited, end=Pair), NUMBERS),
        (
            partial(Edited, current=lambda net, x, t: x + int(net.lif.reset_mechanism_val)),
            NUMBERS,
        ),
        (partial(loops.FullGraph, reset_delay=False), images(B, 784)),
        (partial(Edited, spike_grad=surrogate.sigmoid()), NUMBERS),
        (OwnTrain, NUMBERS),
        (lambda: called(KeepsTensors()), NUMBERS),
        (pruned, NUMBERS),
        (gated, NUMBERS),
    ],
    ids=[
        "fixed T", "fixed T and ones", "fixed batch", "one timestep", "one sample", "one of both",
        "spikes", "bool", "bool spikes", "whole counts", "dataclass", "own number",
        "reads in neurons", "gradients that overflow", "own train",
        "tensors of a call", "pruned", "reads in a layer",
    ],
)  # fmt: skip
@torch.inference_mode()
def test_chain_with_odd_sizes_types_or_attributes(build: Any, example: Tensor) -> None:
    with torch.inference_mode(mode=False):
        network = lively(build())
    assert isinstance(accelerate(network, example), SpikingNetwork)

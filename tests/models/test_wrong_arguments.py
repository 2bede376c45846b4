"""Arguments that make no network, readout or classifier, and the words of their errors.

Shapes: ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from spikemnist import (
    Classifier,
    LeakyConvNet,
    LeakyMLP,
    accelerate,
    evaluate,
    fit,
    ops,
)
from spikemnist.encoding import LatencyEncoder
from spikemnist.models import (
    SpikingNetwork,
    best_class,
    first_spike_times,
    get_readout,
    running_scores,
)
from tests.models.stepped_network import conv, neuron
from tests.rooms import of_rooms

# snnTorch lists the neurons that these tests make.
pytestmark = pytest.mark.usefixtures("neurons")

ARRAY = np.zeros((4, 2, 784), np.float32)
IMAGES = torch.zeros(20, 784)


def network(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 4), *modules, neuron())


class Learned(nn.Module):
    """An encoder with a parameter."""

    num_steps = 8

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))


NETWORK = "a torch.nn.Module with neurons of snnTorch"
SIZES_BY_INPUT = r"the network begins with network\[{}\] \({}\).*pass in_shape to accelerate"


# The calls by the words of their errors.
VALUES: dict[str, Callable[[], Any]] = {
    "in_features must be an integer >= 1; got 0": lambda: LeakyMLP(in_features=0),
    "hidden must be an integer >= 1; got -1": lambda: LeakyMLP(hidden=(5, -1)),
    "hidden must be an integer >= 1; got 5.5": lambda: LeakyMLP(hidden=(5.5,)),
    "hidden must be an integer >= 1; got '100'": lambda: LeakyMLP(hidden="100"),
    "subtract, zero, none; got 'soft'": lambda: LeakyMLP(reset_mechanism="soft"),
    "spike_grad must be one of atan, .*; got 'relu'": lambda: LeakyMLP(spike_grad="relu"),
    "dropout must be a number, at least 0 and below 1; got 1.0": lambda: LeakyMLP(dropout=1.0),
    "input_dropout must be a number, at least 0 and below 1; got 1.0": lambda: LeakyMLP(
        input_dropout=1.0
    ),
    "dropout must be a number, at least 0 and below 1; got nan": lambda: LeakyMLP(dropout=math.nan),
    r"beta must be in \[0, 1\]; got 1.1": lambda: LeakyMLP(beta=1.1),
    r"beta must be in \[0, 1\]; got nan": lambda: LeakyMLP(beta=math.nan),
    r"one entry for each of the 2 layers; got \[0.9\]": lambda: LeakyMLP(beta=[0.9]),
    r"beta must be a number, or one for each of the 10 neurons .*\(9,\)": lambda: LeakyMLP(
        beta=[0.9, [0.5] * 9]
    ),
    r"got torch.float32 of shape \(2, 5\)": lambda: LeakyMLP(beta=[0.9, torch.full((2, 5), 0.5)]),
    "or one for each of the 12 neurons of the layer": lambda: LeakyConvNet(
        beta=[[0.5] * 2, 0.5, 0.5]
    ),
    r"threshold must be in \(0, inf\); got 0.0": lambda: LeakyMLP(threshold=0.0),
    r"threshold must be in \(0, inf\); got -1.0": lambda: LeakyMLP(threshold=[1.0, -1.0]),
    "hidden must be an integer >= 1 and below 2.*63; got 9223": lambda: LeakyMLP(hidden=2**63),
    "threshold must be a number, above 0 and finite; got True": lambda: LeakyMLP(threshold=True),
    "beta must be a number, at least 0 and at most 1; got int": lambda: LeakyMLP(beta=10**400),
    "batch_norm must be True or False; got 'False'": lambda: LeakyMLP(batch_norm="False"),
    "learn_beta must be True or False; got 'no'": lambda: LeakyConvNet(learn_beta="no"),
    r"'M2' in layers='12C5-M2-10' is none of 12C5 \(a convolution\), P2": lambda: LeakyConvNet(
        "12C5-M2-10"
    ),
    r"'0C5' in": lambda: LeakyConvNet("0C5-10"),
    r"'12C0' in": lambda: LeakyConvNet("12C0-10"),
    r"'12C5s0' in": lambda: LeakyConvNet("12C5s0-10"),
    "must end in a dense layer": lambda: LeakyConvNet("12C5-P2"),
    "must begin with weights, not with pooling": lambda: LeakyConvNet("P2-10"),
    "'P2' in layers='10-P2-10' comes after a dense layer": lambda: LeakyConvNet("10-P2-10"),
    "'12C29' in .* leaves no pixel of 28 x 28: use smaller kernels": lambda: LeakyConvNet(
        "12C29-10"
    ),
    r"in_shape must be \(channels, height, width\)": lambda: LeakyConvNet("4C3-P2-10", (28, 28)),
    "each size of in_shape must be an integer >= 1; got 28.0": lambda: LeakyConvNet(
        "4C3-P2-10", (1, 28.0, 28)
    ),
    "each size of in_shape must be an integer >= 1; got 'x'": lambda: accelerate(
        network(), in_shape="x"
    ),
    ("readout must be one of mean_membrane, .*, or a function .*; got 'soft'"): lambda: accelerate(
        network(), readout="soft"
    ),
    "backend must be one of auto, .*, reference, snntorch; got 'fast'": lambda: accelerate(
        network(), backend="fast"
    ),
    SIZES_BY_INPUT.format(0, "Conv2d"): lambda: accelerate(conv()).sizes,
    SIZES_BY_INPUT.format(1, "Leaky"): lambda: (
        accelerate(nn.Sequential(nn.Flatten(), neuron())).sizes
    ),
    "Learned has parameters.* take DirectEncoder as the encoder": lambda: Classifier(
        network(), Learned()
    ),
    r"classes must be a tuple of different names .*; got '0123456789'": lambda: Classifier(
        network(), "latency", "0123456789"
    ),
    r"classes must be a tuple of different names .*; got \('a', 'a'\)": lambda: Classifier(
        network(), "latency", ["a", "a"]
    ),
    "classes has 2 names, but the network has 10 classes": lambda: Classifier(
        LeakyMLP(hidden=5), "latency", ["shoe", "shirt"]
    )(IMAGES),
    'torch.jit.trace takes only backend="snntorch"; use torch.export': lambda: torch.jit.trace(
        LeakyMLP(hidden=5), torch.zeros(8, 2, 784)
    ),
    r"readout <lambda> must return scores .*3, 4.*; got shape": lambda: LeakyMLP(
        (), in_features=20, out_features=4, readout=lambda spikes, _: spikes
    )(torch.zeros(5, 3, 20)),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.trace")
@pytest.mark.parametrize("message", VALUES)
def test_wrong_value(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VALUES[message]()


@pytest.mark.parametrize("shape", [(20, 8, 784), (5, 20, 784), (8, 19, 784)])
def test_shape_of_encoded_spikes(shape: tuple[int, ...]) -> None:
    class Wrong:
        num_steps = 8

        def __call__(self, images: torch.Tensor, *, generator: Any = None) -> torch.Tensor:
            return torch.zeros(shape)

    message = "Wrong must return spikes [T, B, ...], here [8, 20, ...], with T = num_steps first"
    with pytest.raises(ValueError, match=re.escape(f"{message}; got shape {shape}")):
        Classifier(LeakyMLP(hidden=5), Wrong())(IMAGES)


TYPES: dict[str, Callable[[], Any]] = {
    "spikes must be .*; got a ndarray; convert it with torch.from_numpy": lambda: LeakyMLP()(ARRAY),
    "spikes must be a torch.Tensor .*ndarray": lambda: accelerate(network())(ARRAY),
    "must be a torch.Tensor .*ndarray": lambda: ops.leaky(ARRAY, 0.9),
    "scores must be a torch.Tensor .*ndarray": lambda: best_class(ARRAY, torch.zeros(3)),
    "membrane must be a torch.Tensor .*ndarray": lambda: best_class(torch.zeros(3), ARRAY),
    "spikes must be a torch.Tensor .*; got a list; convert numbers with torch.tensor": lambda: (
        LeakyMLP()(ARRAY.tolist())
    ),
    ("LeakyMLP takes hidden by position, and all else by name: write hidden=...; got 3"): lambda: (
        LeakyMLP(784, 100, 10)
    ),
    "LeakyConvNet takes layers and in_shape by position, .*: write layers=...; got 3": lambda: (
        LeakyConvNet("4C5-10", (1, 28, 28), 0.9)
    ),
    "layers must be a string such as '12C5-.*; got int": lambda: LeakyConvNet(5),
    "network must be a torch.nn.Module; got int": lambda: SpikingNetwork(5),
    "each membrane of state must be a torch.Tensor .*; got a str": lambda: LeakyMLP()(
        IMAGES[None], state=("x",)
    ),
    r"initial must be a torch.Tensor \[B, ...\]; got a int": lambda: ops.leaky(
        IMAGES[None], 0.9, initial=5
    ),
    r"spikes must be a torch.Tensor \[T, ...\]; got a int": lambda: first_spike_times(5),
    r"spikes must be a torch.Tensor \[T, B, N\]; got a int": lambda: running_scores(
        "spike_count", 5, IMAGES
    ),
    "readout must be a name, or a function of spikes and membranes.*; got int": lambda: get_readout(
        3
    ),
    "without weights: put those into a layer of the network; got Linear": lambda: LeakyMLP(
        readout=nn.Linear(10, 10)
    ),
    "without weights: put those into a layer of the network; got Bilinear": lambda: LeakyMLP(
        readout=nn.Bilinear(10, 10, 10)
    ),
    r"network must be a torch.nn.Module, .*; got function": lambda: Classifier(
        lambda spikes: spikes, "latency"
    ),
    "encoder must be a name .*, or an Encoder": lambda: Classifier(network(), LatencyEncoder),
    "encoder must be a name .*; got None": lambda: Classifier(network(), None),
    "the network must return a spikemnist.models.Record, .*; got Tensor": lambda: Classifier(
        nn.Flatten(2), "latency"
    )(IMAGES),
    f"takes {NETWORK}; got builtin_function_or_method": lambda: accelerate(torch.relu),
    f"takes {NETWORK}; got list": lambda: accelerate([nn.Linear(6, 4)]),
    f"takes {NETWORK}; got LeakyMLP": lambda: accelerate(LeakyMLP()),
}


@pytest.mark.parametrize("message", TYPES)
def test_wrong_type(message: str) -> None:
    with pytest.raises(TypeError, match=message):
        TYPES[message]()


@pytest.mark.parametrize(
    "function", [fit, evaluate, *of_rooms("OF_CLASSIFIERS"), *of_rooms("EXPORTS")]
)
def test_network_without_its_encoder(function: Callable[..., Any]) -> None:
    message = f"{function.__name__} takes a Classifier, .*'latency'.*; got LeakyMLP"
    with pytest.raises(TypeError, match=message):
        function(LeakyMLP(hidden=5), IMAGES)


class Net(nn.Module):
    """A network as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 4), neuron()


class OwnLinear(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


class OwnLeaky(snntorch.Leaky):
    pass


def leaky(**options: Any) -> nn.Sequential:
    return network(snntorch.Leaky(beta=0.5, **options))


SHARED = neuron()
KNOWN = "and the kernels run Sequential, Flatten, .* and snntorch.Leaky"
NEURON = "which the kernels do not support"
NETWORKS: dict[str, Callable[[], Any]] = {
    "Net has a forward of its own, and the kernels run its modules in an": Net,
    "the network has no neurons of snnTorch": nn.Sequential,
    rf"network\[1\] is ReLU, {KNOWN}": lambda: network(nn.ReLU()),
    rf"network\[1\] is Synaptic, {KNOWN}": lambda: network(snntorch.Synaptic(alpha=0.5, beta=0.5)),
    r"network\[1\] is OwnLeaky": lambda: network(OwnLeaky(beta=0.5)),
    r"network\[1\] is OwnLinear": lambda: network(OwnLinear(4, 4)),
    r"network\[1\]\[1\]\[1\] is GELU": lambda: network(
        nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), nn.GELU()))
    ),
    r"network\.act is Tanh": lambda: nn.Sequential(
        OrderedDict(fc=nn.Linear(6, 4), act=nn.Tanh(), lif=neuron())
    ),
    rf"network\[1\].*with graded_spikes_factor other than 1, {NEURON}": lambda: leaky(
        graded_spikes_factor=2.0
    ),
    rf"network\[1\].*with learn_graded_spikes_factor=True, {NEURON}": lambda: leaky(
        learn_graded_spikes_factor=True
    ),
    r"network\[3\] and network\[1\] are the same snntorch.Leaky, whose membrane": lambda: (
        nn.Sequential(nn.Linear(6, 6), SHARED, nn.Linear(6, 6), SHARED)
    ),
    r"network\[1\] flattens from dimension 2 on, and the kernels run nn.Flatten\(\)": lambda: (
        network(nn.Flatten(2))
    ),
    r"network\[1\] is MaxPool2d with return_indices=True; remove the option": lambda: network(
        nn.MaxPool2d(2, return_indices=True)
    ),
    r"network\[2\] is Flatten, after the last snntorch.Leaky, and the kernels run": lambda: (
        nn.Sequential(nn.Linear(6, 4), neuron(), nn.Flatten(), nn.Linear(4, 2))
    ),
}


@pytest.mark.parametrize("message", NETWORKS)
def test_network_that_kernels_cannot_run(message: str) -> None:
    """The message names the place in the network."""
    with pytest.raises(ValueError, match=message):
        accelerate(NETWORKS[message](), backend="reference")

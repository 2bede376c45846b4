"""What the kernels cannot run, `accelerate` names by its place in the network.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import functools
from collections import OrderedDict
from typing import Any

import pytest
import snntorch
import torch
from torch import nn
from torch.nn.utils import parametrizations

from spikemnist import Classifier, LeakyMLP, TrainConfig, accelerate, fit
from tests.models.stepped_network import BACKENDS, conv, images, mlp, neuron, same


@pytest.fixture(autouse=True)
def listed_neurons_are_taken_away(neurons: list[object]) -> None:
    """snnTorch lists the neurons that these tests make."""


class Net(nn.Module):
    """A network as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 4), neuron()


class OwnLinear(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


class OwnConv2d(nn.Conv2d):
    """Weights without their mean, as weight standardisation has them."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: Any) -> torch.Tensor:
        centred = weight - weight.mean((1, 2, 3), keepdim=True)
        return super()._conv_forward(x, centred, bias)


class OwnLeaky(snntorch.Leaky):
    pass


def network(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 4), *modules, neuron())


KNOWN = "and the kernels run Sequential, Flatten, .* and snntorch.Leaky"
KINDS: dict[str, tuple[Any, str]] = {
    "a module": (Net, r"^Net has a forward of its own, and the kernels run its modules in an"),
    "activation": (
        lambda: network(nn.ReLU()),
        rf"network\[1\] is ReLU, {KNOWN}",
    ),
    "another neuron": (
        lambda: network(snntorch.Synaptic(alpha=0.5, beta=0.5)),
        rf"network\[1\] is Synaptic, {KNOWN}",
    ),
    "own leaky": (lambda: network(OwnLeaky(beta=0.5)), r"network\[1\] is OwnLeaky"),
    "own linear": (lambda: network(OwnLinear(4, 4)), r"network\[1\] is OwnLinear"),
    "own convolution": (lambda: network(OwnConv2d(1, 8, 5)), r"network\[1\] is OwnConv2d"),
    "nested": (
        lambda: network(nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), nn.GELU()))),
        r"network\[1\]\[1\]\[1\] is GELU",
    ),
    "named": (
        lambda: nn.Sequential(OrderedDict(fc=nn.Linear(6, 4), act=nn.Tanh(), lif=neuron())),
        r"network\.act is Tanh",
    ),
}


@pytest.mark.parametrize("case", KINDS)
def test_another_kind_of_module(case: str) -> None:
    make, message = KINDS[case]
    with pytest.raises(ValueError, match=message):
        accelerate(make(), backend="reference")


@pytest.mark.parametrize("network", [torch.relu, [nn.Linear(6, 4)], LeakyMLP()])
def test_what_is_no_network_of_snntorch(network: Any) -> None:
    message = f"takes a torch.nn.Module with neurons of snnTorch; got {type(network).__name__}"
    with pytest.raises(TypeError, match=message):
        accelerate(network)


SHARED = neuron()
NEURON = "which the kernels do not support"
OPTIONS: dict[str, tuple[Any, str]] = {
    "quantized": (
        lambda: network(snntorch.Leaky(beta=0.5, state_quant=lambda x: x)),
        rf"network\[1\] is an snntorch.Leaky with state_quant, {NEURON}",
    ),
    "graded": (
        lambda: network(snntorch.Leaky(beta=0.5, graded_spikes_factor=2.0)),
        rf"network\[1\] is an snntorch.Leaky with graded_spikes_factor other than 1, {NEURON}",
    ),
    "learned grade": (
        lambda: network(snntorch.Leaky(beta=0.5, learn_graded_spikes_factor=True)),
        rf"network\[1\] is an snntorch.Leaky with learn_graded_spikes_factor=True, {NEURON}",
    ),
    "no delay": (
        lambda: network(snntorch.Leaky(beta=0.5, reset_delay=False)),
        rf"network\[1\] is an snntorch.Leaky with reset_delay=False, {NEURON}",
    ),
    "the same neuron twice": (
        lambda: nn.Sequential(nn.Linear(6, 6), SHARED, nn.Linear(6, 6), SHARED),
        r"network\[3\] and network\[1\] are the same snntorch.Leaky, whose membrane",
    ),
    "partly flat": (
        lambda: network(nn.Flatten(2)),
        r"network\[1\] flattens dimensions 2 to -1, and the kernels run nn.Flatten\(1, -1\)",
    ),
    "indices": (
        lambda: network(nn.MaxPool2d(2, return_indices=True)),
        r"network\[1\] is MaxPool2d with return_indices=True; remove the option",
    ),
    "lazy": (
        lambda: network(nn.LazyLinear(4)),
        r"network\[1\] is LazyLinear, which has no weights yet; call the network once first",
    ),
    "modules at the end": (
        lambda: nn.Sequential(nn.Linear(6, 4), neuron(), nn.Flatten(), nn.Linear(4, 2)),
        r"network\[2\] is Flatten, after the last snntorch.Leaky, and the kernels run",
    ),
    "nothing at all": (nn.Sequential, "the network has no neurons of snnTorch"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option(case: str) -> None:
    make, message = OPTIONS[case]
    with pytest.raises(ValueError, match=message):
        accelerate(make(), backend="reference")


def test_inhibition() -> None:
    with pytest.warns(UserWarning, match="Inhibition is an unstable feature"):
        made = network(snntorch.Leaky(beta=0.5, inhibition=True))
    with pytest.raises(ValueError, match=rf"network\[1\].*with inhibition=True, {NEURON}"):
        accelerate(made, backend="reference")


def test_dynamics_of_ones_own() -> None:
    made = network()
    made[1].state_function = lambda current: made[1].mem + current
    with pytest.raises(ValueError, match=rf"with a custom state_function, {NEURON}"):
        accelerate(made, backend="reference")


def test_a_reset_mechanism_that_snntorch_does_not_follow() -> None:
    made = network()
    made[1].reset_mechanism = "zero"
    with pytest.raises(ValueError, match=r"network\[1\] has reset_mechanism='zero', but was made"):
        accelerate(made)


def test_an_snntorch_that_has_renamed_its_resets_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, spikes = conv(), images()
    expected = accelerate(network)(spikes)
    for name in ("_base_sub", "_base_zero", "_base_int"):
        monkeypatch.delattr(snntorch.Leaky, name)
    assert same(accelerate(network)(spikes), expected)


def test_arguments() -> None:
    with pytest.raises(ValueError, match=r"readout must be one of mean_membrane, .*; got 'soft'"):
        accelerate(network(), readout="soft")
    with pytest.raises(ValueError, match=r"backend must be one of auto, .*; got 'fast'"):
        accelerate(network(), backend="fast")


CALLS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no timestep": (mlp, {"spikes": torch.zeros(0, 3, 6)}, r"with T >= 1; got shape \(0, 3, 6\)"),
    "no batch": (mlp, {"spikes": torch.zeros(5, 6)}, r"expected spikes \[T, B, ...\].*\(5, 6\)"),
    "features": (
        mlp,
        {"spikes": torch.zeros(5, 3, 7)},
        r"network\[1\] takes 6 features of each sample at each timestep; got shape \(7,\)$",
    ),
    "not flat": (
        lambda *_: network(),
        {"spikes": torch.zeros(5, 3, 2, 6)},
        r"network\[0\] takes 6 features.*; got shape \(2, 6\): put nn.Flatten\(\) before it",
    ),
    "features further on": (
        lambda *_: nn.Sequential(nn.Linear(6, 5), neuron(), nn.Linear(4, 4), neuron()),
        {},
        r"network\[2\] takes 4 features of each sample at each timestep; got shape \(5,\)$",
    ),
    "no channels": (
        lambda *_: conv(),
        {"spikes": torch.zeros(5, 3, 14, 14)},
        r"network\[0\] takes spikes \[T, B, C, H, W\]; a timestep of a sample has the shape "
        r"\(14, 14\) instead of \[C, H, W\]",
    ),
    "an image at the end": (
        lambda *_: nn.Sequential(nn.Conv2d(1, 2, 3), neuron()),
        {"spikes": torch.zeros(5, 3, 1, 4, 4)},
        r"the last neurons, network\[1\], have the shape \(2, 2, 2\).*put nn.Flatten\(\) before",
    ),
    "beta": (
        lambda *_: nn.Sequential(nn.Linear(6, 4), neuron(beta=torch.full((5,), 0.5))),
        {},
        r"beta of network\[1\] must be a number or broadcast against its neurons, \(4,\); got "
        r"shape \(5,\)",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call_that_does_not_fit(case: str) -> None:
    make, call, message = CALLS[case]
    model = accelerate(make(6, 4), backend="reference")
    with pytest.raises(ValueError, match=message):
        model(**{"spikes": torch.zeros(5, 3, 6), **call})


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_that_does_not_fit(backend: Any) -> None:
    model = accelerate(mlp(6, 5, 4), backend=backend)
    state = [torch.zeros(3, 5), torch.zeros(3, 5)]
    with pytest.raises(ValueError, match=r"the state of network\[4\] must have the shape \(3, 4\)"):
        model(torch.zeros(5, 3, 6), state=state)


def test_sizes_that_depend_on_the_input() -> None:
    message = r"the network begins with network\[{}\] \({}\).*pass in_shape to accelerate"
    for network, place in (
        (conv(), message.format(0, "Conv2d")),
        (nn.Sequential(nn.Flatten(), neuron()), message.format(1, "Leaky")),
    ):
        with pytest.raises(ValueError, match=place):
            _ = accelerate(network).sizes


@pytest.mark.filterwarnings("ignore:.* of the neurons of .* fire")
def test_truncation_where_sizes_depend_on_the_input() -> None:
    data = torch.rand(4, 1, 14, 14), torch.tensor([0, 1, 2, 3])
    classifier = Classifier(accelerate(conv()), "latency")
    history = fit(classifier, data, TrainConfig(epochs=1, truncate=4), progress=False)
    assert len(history.epochs) == 1


def test_a_subclass_that_computes_the_same_is_taken() -> None:
    class Initialised(nn.Linear):
        def reset_parameters(self) -> None:
            nn.init.constant_(self.weight, 0.1)
            nn.init.zeros_(self.bias)

    made = nn.Sequential(Initialised(196, 4), neuron())
    parametrizations.orthogonal(made[0])
    spikes = images().flatten(2)
    records = [accelerate(made, backend=backend)(spikes) for backend in ("reference", "snntorch")]
    assert same(*records)


def test_a_convolution_of_its_own_is_run_as_it_is() -> None:
    own = nn.Sequential(OwnConv2d(1, 4, 5), neuron(), nn.Flatten(), nn.Linear(400, 3), neuron())
    by_instance = copy.deepcopy(own)
    by_instance[0].__class__ = nn.Conv2d
    by_instance[0]._conv_forward = functools.partial(OwnConv2d._conv_forward, own[0])
    spikes = images(batch=64)
    expected = accelerate(own, backend="snntorch")(spikes)
    with pytest.warns(UserWarning, match=r"network\[0\] is OwnConv2d"):
        networks = [accelerate(own), accelerate(by_instance)]
    for network in networks:
        record = network(spikes)
        assert record.backend != "event_driven"
        torch.testing.assert_close(record.membrane, expected.membrane)

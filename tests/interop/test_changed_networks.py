"""What is changed in a network after a call takes effect in the next one, or raises an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import snntorch
import torch
from torch import nn
from torch.nn.utils import spectral_norm

from spikemnist import load, ops
from spikemnist.models import Classifier, LeakyConvNet, LeakyMLP, SpikingNetwork, accelerate


def mlp() -> SpikingNetwork:
    return LeakyMLP(9, in_features=12, out_features=3, dropout=0.5, seed=0)


def conv() -> SpikingNetwork:
    return LeakyConvNet("3C3p1-4C3p1-3", (1, 4, 3), dropout=0.5, seed=0)


def own() -> SpikingNetwork:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Flatten(), nn.Linear(12, 9), snntorch.Leaky(beta=0.9), nn.Dropout(0.5))
    return accelerate(nn.Sequential(first, nn.Linear(9, 3), snntorch.Leaky(beta=0.9)))


NETWORKS = (mlp, conv, own)


def leaky(network: SpikingNetwork) -> Any:
    return network.layers[-1].leaky


def set_option(name: str, value: object) -> Callable[[SpikingNetwork], None]:
    return lambda network: setattr(leaky(network), name, value)


def set_weights(network: SpikingNetwork, kind: type[nn.Module], new: nn.Module) -> None:
    """Put a module in the place of the last one of its kind."""
    path = [path for path, module in network.named_modules() if isinstance(module, kind)][-1]
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, new)


STEPPED = {
    "inhibition=True": set_option("inhibition", True),
    "reset_delay=False": set_option("reset_delay", False),
    "state_quant": set_option("state_quant", torch.round),
    "a custom state_function": set_option("state_function", lambda current: current),
}


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("message", STEPPED)
def test_options_that_kernels_cannot_run(build: Callable[[], Any], message: str) -> None:
    """snnTorch steps the network from then on, and until they are undone."""
    network, spikes = build().eval(), torch.ones(4, 2, 1, 4, 3)
    neurons = leaky(network)
    before, options = network(spikes), vars(neurons).copy()
    STEPPED[message](network)
    text = f"snnTorch steps .* with {message}, which the kernels do not support"
    with pytest.warns(UserWarning, match=text) as warned:
        backends = {network(spikes).backend for _ in range(2)}
    assert len(warned) == 1
    assert backends == {"snntorch"} != {before.backend}
    vars(neurons).update(options)
    assert torch.equal(network(spikes).scores, before.scores)


@pytest.mark.parametrize("build", NETWORKS)
def test_reset_mechanism_that_snntorch_ignores(build: Callable[[], Any]) -> None:
    network, spikes = build(), torch.ones(4, 2, 1, 4, 3)
    network(spikes)
    leaky(network).reset_mechanism = "zero"
    with pytest.raises(ValueError, match="reset_mechanism='zero', but was made"):
        network(spikes)


def more_weight(network: SpikingNetwork) -> None:
    last = network.layers[-1].linear
    new = nn.Linear(last.in_features, last.out_features)
    nn.init.ones_(new.weight)
    set_weights(network, nn.Linear, new)


def other_tensors(network: SpikingNetwork) -> None:
    state = {name: 2 * value.detach() for name, value in network.named_parameters()}
    network.load_state_dict(state, strict=False, assign=True)


def moved_tensors(network: SpikingNetwork) -> None:
    """Memory of its own for each parameter, as a move to another device and back gives it."""
    for parameter in network.double().parameters():
        parameter.data *= 2
    network.float()


def own_forward(network: SpikingNetwork) -> None:
    last: Any = network.layers[-1].linear
    last.forward = lambda signal: nn.functional.linear(signal, last.weight, last.bias) + 1


def set_dropout(network: SpikingNetwork, probability: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability


EFFECTIVE: dict[str, Callable[[SpikingNetwork], Any]] = {
    "weights": more_weight,
    "load_state_dict(assign=True)": other_tensors,
    "to": moved_tensors,
    "hook": lambda network: network.layers[-1].linear.register_forward_hook(
        lambda module, inputs, output: output + 1
    ),
    "forward": own_forward,
    "readout": lambda network: setattr(network, "readout", "spike_count"),
    "threshold": set_option("threshold", torch.tensor(0.01)),
}


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize("change", EFFECTIVE)
def test_changes_take_effect(build: Callable[[], Any], change: str) -> None:
    """As in the loop of snnTorch, whose modules the network shares."""
    network, spikes = build().eval(), torch.ones(4, 2, 1, 4, 3)
    before = network(spikes).scores
    EFFECTIVE[change](network)
    actual, network.backend = network(spikes).scores, "snntorch"
    assert not torch.equal(actual, before)
    torch.testing.assert_close(actual, network(spikes).scores, rtol=1e-5, atol=1e-6)


def test_padding_mode() -> None:
    network, spikes = conv().eval(), torch.linspace(0, 4, 96).view(4, 2, 1, 4, 3)
    before = network(spikes).scores
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.padding_mode = "circular"
    actual, network.backend = network(spikes).scores, "snntorch"
    assert not torch.equal(actual, before)
    torch.testing.assert_close(actual, network(spikes).scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", NETWORKS)
def test_mode_dropout_and_surrogate(build: Callable[[], Any]) -> None:
    network, spikes = build().eval(), torch.ones(4, 8, 1, 4, 3)
    calm = network(spikes).scores
    network.train()
    torch.manual_seed(0)
    dropped = network(spikes).scores
    assert not torch.equal(dropped, calm)
    set_dropout(network, 0.0)
    actual = network(spikes).scores
    torch.testing.assert_close(actual, calm)
    actual.sum().backward()
    weight = next(network.parameters())
    former, weight.grad = weight.grad, None
    for layer in network.layers:
        layer.leaky.spike_grad = ops.Triangular(threshold=0.4)
    network(spikes).scores.sum().backward()
    assert former is not None
    assert weight.grad is not None
    assert not torch.equal(weight.grad, former)


UNSAVED = {
    r"inhibition was False, is True": STEPPED["inhibition=True"],
    r"reset_delay was True, is False": STEPPED["reset_delay=False"],
    r"options was .*p=0.5.*, is .*p=0.75": lambda network: set_dropout(network, 0.75),
    r"spike_grad.name was 'atan', is 'sigmoid'": set_option("spike_grad", ops.Sigmoid()),
    r"weight_u was None, is \[3\]": lambda network: spectral_norm(network.layers[-1].linear),
    r"leaky.beta was \[\], is \[3\]": set_option("beta", torch.full((3,), 0.5)),
    r"options was .*, is .*padding_mode=circular": lambda network: set_weights(
        network, nn.Conv2d, nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
    ),
}


@pytest.mark.parametrize("message", UNSAVED)
def test_changes_that_no_option_describes(message: str, tmp_path: Path) -> None:
    network, path = conv(), tmp_path / "model.safetensors"
    UNSAVED[message](network)
    with pytest.raises(ValueError, match=message):
        Classifier(network, "latency").save(path)
    assert not path.exists()


def test_changes_that_a_file_keeps(tmp_path: Path) -> None:
    network = conv().eval()
    spikes = torch.ones(8, 2, 1, 4, 3)
    for neurons in (layer.leaky for layer in network.layers):
        neurons.spike_grad = ops.Sigmoid(slope=3.0)
    EFFECTIVE["threshold"](network)
    EFFECTIVE["readout"](network)
    again = load(Classifier(network, "latency").save(tmp_path / "model.safetensors")).network
    assert torch.equal(again(spikes).scores, network(spikes).scores)
    assert again.layers[0].leaky.spike_grad == ops.Sigmoid(slope=3.0)

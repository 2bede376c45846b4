"""What snnTorch steps by name, beside the laws of all backends."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from spikemnist import accelerate
from tests.models.stepped_network import BACKENDS, images, neuron, same
from tests.models.test_compile import (
    assert_compiled_equals_eager,
    learning,
    nothing_compiled_before,
)
from tests.models.test_leaky_conv_net import make, spikes
from tests.models.test_networks import build
from tests.models.test_oracle import LEARN, NETWORKS

if TYPE_CHECKING:
    from spikemnist.models import SpikingNetwork


def test_subclass_with_the_same_forward() -> None:
    class Initialised(nn.Linear):
        def reset_parameters(self) -> None:
            nn.init.constant_(self.weight, 0.1)
            nn.init.zeros_(self.bias)

    made = nn.Sequential(Initialised(196, 4), neuron())
    parametrizations.orthogonal(made[0])
    spikes = images().flatten(2)
    records = [accelerate(made, backend=backend)(spikes) for backend in ("reference", "snntorch")]
    assert same(*records)


class OwnConv2d(nn.Conv2d):
    """Weights without their mean, as weight standardisation has them."""

    def _conv_forward(self, x: torch.Tensor, weight: torch.Tensor, bias: Any) -> torch.Tensor:
        centred = weight - weight.mean((1, 2, 3), keepdim=True)
        return super()._conv_forward(x, centred, bias)


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
def test_own_convolution() -> None:
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


@pytest.mark.usefixtures(nothing_compiled_before.__name__)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_captured_training_step_of_snntorch() -> None:
    network = learning("subtract").network
    assert_compiled_equals_eager(
        "aot_eager", accelerate(network, backend="snntorch", readout="spike_count")
    )


def test_stepping_a_normalised_network() -> None:
    model, images = make(batch_norm=True).double(), spikes().double()
    for _ in range(3):
        model(images)  # moves the running statistics
    expected = model.eval()(images)
    model.backend = "snntorch"
    torch.testing.assert_close(model(images).membrane, expected.membrane)
    with pytest.raises(ValueError, match="would normalise each timestep by itself"):
        model.train()(images)


def test_a_second_derivative_by_snntorch() -> None:
    """Against central differences of the gradient, where no spike flips."""
    model = build("perceptron", "snntorch").double()
    name, weight = [*model.named_parameters()][-2]

    def squares(weight: Tensor) -> Tensor:
        record = torch.func.functional_call(model, {name: weight}, (images(),))
        return record.membrane.square()

    assert torch.autograd.gradgradcheck(squares, weight, fast_mode=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("network", ["two layers", "convolutions", "other modules"])
def test_each_timestep_of_an_expanded_input_has_its_own_gradient(
    network: str, backend: str
) -> None:
    """A sum over time would hide that one timestep got the gradient of all."""
    image = torch.rand(3, 1, 14, 14, generator=torch.Generator().manual_seed(0)).double()
    plain = accelerate(NETWORKS[network](**LEARN).double(), backend="snntorch")
    model = accelerate(plain.network, backend=backend)

    def gradient(model: SpikingNetwork, fed: Tensor) -> Tensor:
        fed.requires_grad_()
        total = (model(fed).membrane.mean((1, 2)) * torch.arange(7)).sum()
        return torch.autograd.grad(total, fed)[0]

    expected = gradient(plain, image.repeat(7, 1, 1, 1, 1))
    torch.testing.assert_close(gradient(model, image.expand(7, -1, -1, -1, -1)), expected)

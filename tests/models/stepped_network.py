"""Networks as snnTorch's users write them, the loop over time around them, and a perceptron.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import snntorch
import torch
from torch import Tensor, nn

from spikemnist import ops
from spikemnist._doors import is_installed
from spikemnist.models import LeakyMLP, Record, accelerate
from spikemnist.models.runners import RUNNERS

if TYPE_CHECKING:
    Trace = list[tuple[Tensor, Tensor]]

ENGINE = ["event_driven"] if ops.select_backend("auto") == "event_driven" else []
STEPPED = ["snntorch"] if is_installed(RUNNERS["snntorch"]) else []
BACKENDS: list[Any] = ["reference", *STEPPED, *ENGINE]
"""Those that can run here."""


def neuron(size: int = 0, **options: Any) -> snntorch.Leaky:
    """Return neurons that no list but their network's holds, a beta for each if there is a size."""
    given = {"beta": 0.8 if not size else torch.linspace(0.1, 0.95, size), **options}
    leaky = snntorch.Leaky(**given)
    snntorch.SpikingNeuron.instances.pop()
    return leaky


def mlp(*sizes: int, **options: Any) -> nn.Sequential:
    """Return a multilayer perceptron on images, every second layer with a beta for each neuron."""
    modules: list[nn.Module] = [nn.Flatten()]
    for index, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        modules += [
            nn.Linear(fan_in, fan_out, bias=index != 1),
            neuron(fan_out if index % 2 else 0, **options),
        ]
    return lively(nn.Sequential(*modules))


def conv(**options: Any) -> nn.Sequential:
    """Return the network of snnTorch's tutorial 6, made small, for images of 14 x 14."""
    return lively(
        nn.Sequential(
            nn.Conv2d(1, 3, 3),
            nn.MaxPool2d(2),
            neuron(**options),
            nn.Conv2d(3, 5, 3),
            nn.MaxPool2d(2),
            neuron(**options),
            nn.Flatten(),
            nn.Linear(5 * 2 * 2, 4),
            neuron(4, **options),
        )
    )


def other_modules(**options: Any) -> nn.Sequential:
    """Return a network with the modules that the others lack, nested, for images of 14 x 14."""
    return lively(
        nn.Sequential(
            nn.Sequential(nn.Identity(), nn.AvgPool2d(2)),
            neuron(threshold=0.3, **options),  # what it receives has no weights
            nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveMaxPool2d(4), neuron(**options)),
            nn.AdaptiveAvgPool2d(3),
            neuron(threshold=0.4, **options),
            neuron(threshold=0.5, **options),
            nn.Sequential(nn.Sequential(nn.Flatten(), nn.Dropout(0.0), nn.Identity())),
            nn.Linear(27, 8),
            nn.Identity(),
            neuron(8, **options),
            nn.Linear(8, 4),
            neuron(**options),
        )
    )


def lively(network: nn.Sequential) -> nn.Sequential:
    """Give a network the weights, the same each time, with which its neurons fire."""
    random = torch.Generator().manual_seed(4)
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            fan_in = module.weight[0].numel()
            module.weight.data = torch.randn(module.weight.shape, generator=random) + 0.2
            module.weight.data.mul_(2 / fan_in**0.5)
            if module.bias is not None:
                module.bias.data.fill_(0.2)
    return network


def perceptron(seed: int = 0, **options: Any) -> LeakyMLP:
    """Return a `LeakyMLP` for `spikes` that fires in all its layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LeakyMLP((9, 7), in_features=12, out_features=4, **options)
    for layer in model.layers:
        layer.linear.weight.data.mul_(4)
    return model


def spikes() -> Tensor:
    """Return spikes ``[6, 3, 3, 4]``, float32."""
    return (torch.rand(6, 3, 3, 4, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def images(steps: int = 7, batch: int = 3, side: int = 14, seed: int = 1) -> Tensor:
    """Return spikes ``[T, B, 1, side, side]``, float32."""
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, 1, side, side, generator=random) < 0.4).float()


def flat(network: nn.Sequential) -> Iterator[nn.Module]:
    for module in network:
        if isinstance(module, nn.Sequential):
            yield from flat(module)
        else:
            yield module


def neurons_of(network: nn.Sequential) -> list[snntorch.Leaky]:
    return [module for module in flat(network) if isinstance(module, snntorch.Leaky)]


def stepped(network: nn.Sequential, spikes: Tensor, dtype: torch.dtype = torch.float64) -> Trace:
    """Return spikes and membranes ``[T, B, ...]`` of all neurons, one timestep at a time."""
    seen: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in neurons_of(network)]
    for leaky in neurons_of(network):
        leaky.mem = torch.zeros(0)
    for step in spikes:
        signal, layers = step.to(dtype), iter(seen)
        for module in flat(network):
            signal = module(signal)
            if isinstance(module, snntorch.Leaky):
                fired = signal[0] if isinstance(signal, tuple) else signal
                signal = fired.to(dtype)  # snnTorch's surrogates return float32
                for steps, new in zip(next(layers), (signal, module.mem), strict=True):
                    steps.append(new)
    return [(torch.stack(fired), torch.stack(membrane)) for fired, membrane in seen]


def same(one: Record, other: Record) -> bool:
    fields = ("spikes", "membrane", "scores", "spike_counts")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in fields)


def gradients(network: nn.Module, loss: Callable[[], Tensor], *also: Tensor) -> dict[str, Tensor]:
    """Return the gradients of a loss, by the name of the parameter, and of other tensors."""
    named = {**dict(network.named_parameters()), **{str(i): t for i, t in enumerate(also)}}
    result = torch.autograd.grad(loss(), list(named.values()), materialize_grads=True)
    return dict(zip(named, result, strict=True))


def assert_close(
    result: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-11
) -> None:
    """Compare gradients, each by its own largest entry."""
    assert result.keys() == expected.keys()
    for name, gradient in result.items():
        largest = expected[name].detach().abs().max() if gradient.numel() else torch.ones(())
        scale = max(float(largest), 1e-3)
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=tolerance * scale)


def loss(fired: Tensor, membrane: Tensor) -> Tensor:
    """Use every output, with weights that differ from entry to entry."""
    ramp = torch.linspace(-1, 1, membrane.numel(), dtype=membrane.dtype).reshape(membrane.shape)
    return (fired * ramp).sum() + (membrane * ramp.flip(0)).sum() + membrane.square().mean()


def assert_equals_the_loop(network: nn.Sequential, spikes: Tensor, backend: str) -> Record:
    """Compare every layer, and every gradient, that of the input included, in float64."""
    network = network.double()
    twin = copy.deepcopy(network)
    with torch.no_grad():
        layers = stepped(twin, spikes)
        record = accelerate(network, backend=backend)(spikes, record="all")
    assert record.backend == ("reference" if backend == "auto" else backend)
    for layer, (fired, membrane) in zip(record.layers, layers, strict=True):
        assert torch.equal(layer.spikes, fired)
        torch.testing.assert_close(layer.membrane, membrane, rtol=1e-12, atol=1e-12)
    assert record.spike_counts.tolist() == [
        fired.flatten(2).sum((0, 2)).tolist() for fired, _ in layers
    ]
    inputs = [spikes.double().requires_grad_() for _ in range(2)]

    def ours() -> Tensor:
        record = accelerate(network, backend=backend)(inputs[0])
        return loss(record.spikes, record.membrane)

    result = gradients(network, ours, inputs[0])
    assert_close(result, gradients(twin, lambda: loss(*stepped(twin, inputs[1])[-1]), inputs[1]))
    return record

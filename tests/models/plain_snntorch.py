"""The network as a snnTorch tutorial would write it: what `LeakyMLP` must equal.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``C`` classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import snntorch
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from spikemnist.models import LeakyMLP


class PlainNetwork(nn.Module):
    """Copies of a model's parameters in `nn.Linear` and `snntorch.Leaky`, stepped one by one."""

    def __init__(
        self, model: LeakyMLP, spike_grad: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.linears = nn.ModuleList()
        self.neurons = nn.ModuleList()
        for layer in model.layers:
            linear = nn.Linear(layer.linear.in_features, layer.linear.out_features)
            linear.weight = nn.Parameter(layer.linear.weight.detach().clone())
            linear.bias = nn.Parameter(layer.linear.bias.detach().clone())
            neuron = snntorch.Leaky(
                beta=layer.leaky.beta.detach().clone(),
                threshold=layer.leaky.threshold.detach().clone(),
                reset_mechanism=layer.leaky.reset_mechanism,
                spike_grad=spike_grad or layer.leaky.spike_grad,
                learn_beta=True,
                learn_threshold=True,
            )
            snntorch.SpikingNeuron.instances.pop()
            self.linears.append(linear)
            self.neurons.append(neuron)

    def forward(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return spikes and membranes ``[T, B, N]`` of each layer."""
        dtype = self.linears[0].weight.dtype
        membranes = [torch.zeros(()) for _ in self.neurons]
        seen: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in self.neurons]
        for step in spikes.flatten(2):
            signal = step.to(dtype)
            for index, (linear, neuron) in enumerate(zip(self.linears, self.neurons, strict=True)):
                signal, membranes[index] = neuron(linear(signal), membranes[index])
                signal = signal.to(dtype)  # snnTorch's own surrogates return float32
                seen[index][0].append(signal)
                seen[index][1].append(membranes[index])
        return [(torch.stack(fired), torch.stack(membrane)) for fired, membrane in seen]

    def gradients(self) -> dict[str, Tensor | None]:
        """Return the gradients by the names that the parameters have in the model."""
        found = {}
        for index, (linear, neuron) in enumerate(zip(self.linears, self.neurons, strict=True)):
            found[f"layers.{index}.linear.weight"] = linear.weight.grad
            found[f"layers.{index}.linear.bias"] = linear.bias.grad
            found[f"layers.{index}.leaky.beta"] = neuron.beta.grad
            found[f"layers.{index}.leaky.threshold"] = neuron.threshold.grad
        return found

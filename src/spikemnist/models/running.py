"""How a stack of layers is run: all of it at once where the engine can, else one by one.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from spikemnist import ops
from spikemnist.ops.dynamics import is_constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from spikemnist.models.neuron import LeakyLayer


def run(
    layers: Sequence[LeakyLayer],
    spikes: Tensor,
    *,
    backend: str,
    record: str,
    state: Sequence[Tensor] | None,
    dropout: Sequence[float],
) -> list[ops.Activity]:
    """Run layers over all timesteps, each on the spikes of the one before.

    Parameters
    ----------
    layers
        At least one.
    spikes
        ``[T, B, F]``.
    backend
        What `spikemnist.ops.select_backend` returned.
    record
        ``"output"`` or ``"all"``.
    state
        Membranes ``[B, N]`` to start from, one for each layer; at rest when ``None``.
    dropout
        For each layer the probability with which its spikes are dropped on their way to the next.
    """
    initial: Sequence[Tensor | None] = state or [None] * len(layers)
    given = [
        ops.Layer(
            weight=layer.linear.weight,
            bias=layer.linear.bias,
            beta=layer.leaky.beta,
            threshold=layer.leaky.threshold,
            reset_mechanism=layer.leaky.reset_mechanism,
            spike_grad=ops.get_surrogate(layer.leaky.spike_grad),
            initial=membrane,
            dropout=probability,
        )
        for layer, membrane, probability in zip(layers, initial, dropout, strict=True)
    ]
    if backend == "event_driven" and not any(map(_must_be_called, layers)):
        return ops.run_layers(spikes, given, record=record, final=state is not None)
    activities = []
    for layer, membrane, probability in zip(layers, initial, dropout, strict=True):
        fired, membranes = layer(spikes, membrane, backend)
        # float32 counts exactly up to 2**24 spikes of one layer for one sample.
        counts = fired.detach().sum((0, 2), dtype=torch.float32).long()
        activities.append(ops.Activity(fired, membranes, counts, membranes[-1]))
        spikes = functional.dropout(fired, probability) if probability else fired
    return activities


def on_device_of(weight: Tensor, signal: Tensor) -> Tensor:
    """Return an input ``[T, ...]`` on the device of the weights, where `fit` leaves a model."""
    if signal.device == weight.device:
        return signal
    # MPS has no float64.
    dtype = weight.dtype if signal.is_floating_point() else signal.dtype
    if is_constant(signal):
        return signal[:1].to(weight.device, dtype).expand_as(signal)
    return signal.to(weight.device, dtype)


def _must_be_called(layer: LeakyLayer) -> bool:
    """Return whether a layer cannot be fused: it has hooks, or a surrogate without a name."""
    hooks = (
        layer._forward_hooks,
        layer._forward_pre_hooks,
        layer._backward_hooks,
        layer._backward_pre_hooks,
    )
    return any(hooks) or not ops.is_named(ops.get_surrogate(layer.leaky.spike_grad))

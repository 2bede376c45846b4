"""What runs layers in the core, and steps snnTorch's: one after the other, or as a network.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from spikemnist import accelerate, ops
from spikemnist._doors import is_installed
from spikemnist.models.runners import RUNNERS as BACKENDS
from spikemnist.ops.dropout import drop_out
from spikemnist.ops.layer import LayerOutput, LayerParams

Run = Callable[..., list[LayerOutput]]
"""From spikes ``[T, B, F]``, layers, ``record`` and ``final`` to the output of each layer."""

Leaky = Callable[[Tensor, LayerParams], tuple[Tensor, Tensor]]
"""From a current ``[T, B, ...]`` and neurons to spikes and membranes."""


def layer_by_layer(leaky: Leaky) -> Run:
    """Return a way to run: dense weights, and then neurons; everything is returned."""

    def run(spikes: Tensor, layers: Sequence[LayerParams], **_: Any) -> list[LayerOutput]:
        outputs = []
        for params in layers:
            dropped = drop_out(spikes.flatten(0, 1), params.dropout).view(spikes.shape)
            if params.weight is None:
                current = dropped.to(params.beta.dtype)
            else:
                current = ops.linear(dropped, params.weight, params.bias)
            spikes, membrane = leaky(current, params)
            counts = (spikes.detach() != 0).sum((0, *range(2, spikes.dim())))
            shape = tuple(spikes.shape[2:])
            outputs.append(LayerOutput(spikes, membrane, counts, membrane[-1], shape))
        return outputs

    return run


def _reference(current: Tensor, params: LayerParams) -> tuple[Tensor, Tensor]:
    return ops.leaky(
        current,
        params.beta,
        params.threshold,
        reset_mechanism=params.reset_mechanism,
        spike_grad=params.spike_grad,
        initial=params.initial,
    )


def _snntorch(current: Tensor, params: LayerParams) -> tuple[Tensor, Tensor]:
    """Step a real `snntorch.Leaky`."""
    neuron = leaky_of(params)
    initial = params.initial
    membrane = torch.zeros_like(current[0]) if initial is None else initial
    spikes, membranes = [], []
    for inflow in current:
        spike, membrane = neuron(inflow, membrane)
        # snnTorch's surrogates return float32 whatever the membrane is.
        spikes.append(spike.to(current.dtype))
        membranes.append(membrane)
    return torch.stack(spikes), torch.stack(membranes)


def leaky_of(params: LayerParams) -> snntorch.Leaky:
    """Return the neurons of a layer, which no list of snnTorch holds."""
    neuron = snntorch.Leaky(
        beta=params.beta,
        threshold=params.threshold,
        reset_mechanism=params.reset_mechanism,
        spike_grad=params.spike_grad,
    )
    snntorch.SpikingNeuron.instances.pop()
    return neuron


def by_accelerate(
    spikes: Tensor, layers: Sequence[LayerParams], *, record: str, final: bool
) -> list[LayerOutput]:
    """Run a network of the user, with the tensors of the layers in place of its own."""
    modules: list[nn.Module] = []
    tensors: dict[str, Tensor] = {}
    for params in layers:
        if params.dropout:
            modules.append(nn.Dropout(params.dropout))
        if params.weight is not None:
            place = f"network.{len(modules)}"
            sizes, bias = reversed(params.weight.shape), params.bias is not None
            modules.append(nn.utils.skip_init(nn.Linear, *sizes, bias=bias))  # draws no numbers
            tensors[f"{place}.weight"] = params.weight
            if params.bias is not None:
                tensors[f"{place}.bias"] = params.bias
        place = f"network.{len(modules)}"
        modules.append(leaky_of(params))
        tensors |= {f"{place}.beta": params.beta, f"{place}.threshold": params.threshold}
    dtype = layers[0].beta.dtype
    engine = is_installed(BACKENDS["event_driven"]) and dtype in (torch.float32, torch.float64)
    backend = "event_driven" if engine else "reference"
    model = accelerate(nn.Sequential(*modules), backend=backend).to(dtype)
    state, size = [], spikes.shape[2:]
    for params in layers:
        size = size if params.weight is None else params.weight.shape[:1]
        rest = params.beta.new_zeros((spikes.shape[1], *size))
        state.append(rest if params.initial is None else params.initial)
    options = {"record": "all", "state": state}
    result = torch.func.functional_call(model, tensors, (spikes,), options)
    outputs = []
    for one, counts, last in zip(result.layers, result.spike_counts, result.state, strict=True):
        recorded = record == "all" or one is result.layers[-1]
        outputs.append(
            LayerOutput(
                one.spikes if recorded else None,
                one.membrane if recorded else None,
                counts,
                last if final else None,
                tuple(one.spikes.shape[2:]),
            )
        )
    return outputs


by_reference, by_snntorch = map(layer_by_layer, (_reference, _snntorch))

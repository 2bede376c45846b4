"""Run the layers of a network: what the kernels want to know of each, and their calls.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spikemnist.engine import autograd
from spikemnist.engine.convolution import convolve
from spikemnist.engine.dropout import drop_out
from spikemnist.models.architecture import Architecture
from spikemnist.models.runners import (
    NetworkOutput,
    Request,
    initial_membranes,
    network_output,
    required,
)
from spikemnist.models.spiking_layer import (
    PASSED_BY,
    Module,
    SpikingLayer,
    call_first,
    check_input,
    fold_norm,
)
from spikemnist.ops.layer import LayerOutput, LayerParams

Dense = tuple[nn.Linear, "nn.BatchNorm1d | None"]
"""Weights that take packed spikes, and the normalisation behind them."""


def run(architecture: Architecture, request: Request) -> NetworkOutput:
    """Run layers one after the other, and dense ones that exchange packed spikes together."""
    (spikes, template), record = request.tensors, request.record
    layers, initial = architecture.layers, initial_membranes(architecture, request)
    outputs: list[LayerOutput] = []
    for group in _groups(layers):
        membranes = initial[len(outputs) :][: len(group)]
        last = len(outputs) + len(group) == len(layers)
        options: dict[str, Any] = {
            "record": record if record == "all" or last else "spikes",
            "final": request.final,
        }
        first, dense = group[0]
        if dense is None:
            outputs.append(_run_current(first, spikes, membranes[0], template.dtype, options))
        else:
            signal, params = _dense_layers(group, spikes, membranes, template.dtype)
            outputs += autograd.run(params, signal, **options)
        spikes = spikes if last else required(outputs[-1].spikes)
    return network_output(architecture, outputs)


def dense_of(layer: SpikingLayer) -> Dense | None:
    """Return the weights to which the engine feeds packed spikes, or None.

    They are those of a `torch.nn.Linear` behind modules in `PASSED_BY` only. A batch normalisation
    behind it is folded in, outside of training.
    """
    norm, linear = None, None
    for _, module in reversed(layer.modules):
        if linear is not None:
            if not isinstance(module, PASSED_BY):
                return None
        elif isinstance(module, nn.Linear):
            linear = module
        elif norm is None and isinstance(module, nn.BatchNorm1d) and _is_fixed(module):
            norm = module
        else:
            return None
    return None if linear is None else (linear, norm)


def _groups(layers: Sequence[SpikingLayer]) -> list[list[tuple[SpikingLayer, Dense | None]]]:
    """Group consecutive dense layers that exchange packed spikes, each with its weights.

    One call of the engine runs a group. Any other layer is a group by itself.
    """
    groups: list[list[tuple[SpikingLayer, Dense | None]]] = []
    sends = False
    for layer in layers:
        dense = dense_of(layer)
        if sends and dense and layer.dropout < 1:
            groups[-1].append((layer, dense))
        else:
            groups.append([(layer, dense)])
            sends = dense is not None
    return groups


def _dense_layers(
    group: Sequence[tuple[SpikingLayer, Any]],
    spikes: Tensor,
    initial: Sequence[Tensor | None],
    dtype: torch.dtype,
) -> tuple[Tensor, list[LayerParams]]:
    """Return the input ``[T, B, F]`` of a group of dense layers, and their parameters.

    The engine drops input spikes of an integer dtype. Floating ones may need a gradient: their
    dropout scales them, so the first layer gets no weights, and its input is the current.
    """
    (first, _), shape = group[0], tuple(spikes.shape[2:])
    dropped = first.dropout and (spikes.is_floating_point() or first.dropout == 1)
    if dropped:
        current = first.current(spikes, dtype, call_compiled)
        spikes = current.expand(len(spikes), *current.shape[1:])
    params = []
    for (layer, (linear, norm)), membrane in zip(group, initial, strict=True):
        weight, bias = linear.weight, linear.bias
        shape = _shape_behind(layer, weight, shape)
        layer.check_state(membrane, (spikes.shape[1], *shape))
        if dropped and layer is first:
            params.append(layer.params(shape, dtype, membrane))
            continue
        if norm is not None:
            weight, bias = fold_norm(weight, bias, norm)
        options = {"weight": weight, "bias": bias, "dropout": layer.dropout}
        params.append(layer.params(shape, dtype, membrane, **options))
    return spikes.flatten(2), params


def _shape_behind(layer: SpikingLayer, weight: Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the neurons' shape in a dense layer; raise if the input does not fit."""
    if tuple(shape) != weight.shape[1:]:
        for path, module in layer.modules:
            check_input(path, module, shape)
            if isinstance(module, nn.Flatten):
                shape = (math.prod(shape),)
    return (weight.shape[0],)


def _run_current(
    layer: SpikingLayer,
    spikes: Tensor,
    initial: Tensor | None,
    dtype: torch.dtype,
    options: dict[str, Any],
) -> LayerOutput:
    """Run neurons on the engine whose current torch computes, as after a convolution.

    A convolution returns channels-last memory, and the neurons are numbered in this order.
    """
    current = layer.current(spikes, dtype, call_compiled)
    shape = tuple(current.shape[2:])
    layer.check_state(initial, (current.shape[1], *shape))
    params = layer.params(shape, dtype, initial, _channels_last)
    signal = current.movedim(2, -1)
    pixels = signal.shape[2:]
    signal = signal.flatten(2).expand(len(spikes), -1, -1)
    (output,) = autograd.run([params], signal, **options)
    output_spikes, membrane, last = (
        None if tensor is None else tensor.view(*tensor.shape[:-1], *pixels).movedim(-1, leading)
        for tensor, leading in ((output.spikes, 2), (output.membrane, 2), (output.final, 1))
    )
    return LayerOutput(output_spikes, membrane, output.counts, last, shape)


def _channels_last(values: Tensor) -> Tensor:
    """Flatten neuron values ``[B, ...]`` to ``[B, N]``, in the order ``[H, W, C]``."""
    return values.movedim(1, -1).flatten(1)


def call_compiled(frames: Tensor, modules: Sequence[Module]) -> tuple[Tensor, Sequence[Module]]:
    """Do what `call_first` does, with the engine's convolution and dropout.

    A batch normalisation behind a convolution is folded in, outside of training.
    """
    if frames.dim() == 4:  # the fastest layout on the CPU
        frames = frames.to(memory_format=torch.channels_last)
    (_, module), *left = modules
    if isinstance(module, nn.Dropout):
        return drop_out(frames, module.p if module.training else 0.0), left
    if not isinstance(module, nn.Conv2d) or not _is_plain(module):
        return call_first(frames, modules)
    weights = module.weight, module.bias
    if left and isinstance(norm := left[0][1], nn.BatchNorm2d) and _is_fixed(norm):
        weights, left = fold_norm(*weights, norm), left[1:]
    stride: Any = module.stride
    padding: Any = module.padding
    return convolve(frames, *weights, stride, padding), left


def _is_fixed(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    """Return whether a batch normalisation uses its running statistics now."""
    return not norm.training and norm.running_mean is not None


def _is_plain(module: nn.Conv2d) -> bool:
    """Return whether the engine's convolution supports all options of a module."""
    known = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    return known and not isinstance(module.padding, str)

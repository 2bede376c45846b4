"""Run layers on a backend: kernels of the CPU or of a GPU, plain torch, or snnTorch step by step.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikemnist import ops
from spikemnist.models.spiking_layer import SpikingLayer
from spikemnist.ops.layer import LayerOutput, LayerParams, count_spikes

State = list["Tensor | None"]
"""Initial membrane ``[B, ...]`` of each layer; None for rest."""


def unsupported(layers: Sequence[SpikingLayer], backend: str, like: Tensor) -> str | None:
    """Return the reason why compiled kernels cannot run the neurons of layers, or None.

    ``like`` is a tensor that has the dtype and the device of the parameters.
    """
    device, dtype = like.device, like.dtype
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
    for layer in layers:
        surrogate = ops.get_surrogate(layer.leaky.spike_grad)
        if backend == "triton":
            from spikemnist import gpu

            reason = gpu.unsupported(device, dtype, layer.leaky.reset_mechanism, surrogate)
        else:  # imported here because it loads Numba, which importing the package must not do
            from spikemnist import engine

            reason = engine.unsupported(surrogate)
        if reason:
            return f"{reason}, in {layer.path}"
    return None


def run(
    layers: Sequence[SpikingLayer],
    spikes: Tensor,
    *,
    dtype: torch.dtype,
    backend: str,
    record: str,
    state: Sequence[Tensor] | None,
    final: bool,
) -> list[LayerOutput]:
    """Run layers over all timesteps, each on the spikes of the previous layer.

    Parameters
    ----------
    layers : sequence of SpikingLayer
        Layers of the network, at least one.
    spikes : torch.Tensor
        Input of the first layer, ``[T, B, ...]``.
    dtype : torch.dtype
        Dtype of the parameters.
    backend : str
        One of `spikemnist.ops.BACKENDS`, but not ``"auto"``.
    record : str
        Layers to record: ``"output"`` or ``"all"``.
    state : sequence of torch.Tensor or None
        Initial membranes ``[B, ...]``, one for each layer; at rest when None.
    final : bool
        Whether the membranes after the last timestep are returned.

    Returns
    -------
    list of LayerOutput
        One output for each layer. Its neurons have the shape of their input current.
    """
    initial: State = [None] * len(layers) if state is None else list(state)
    outputs: list[LayerOutput] = []
    if backend != "event_driven":
        for layer, membrane in zip(layers, initial, strict=True):
            needed = record == "all" or layer is layers[-1]
            outputs.append(_run_layer(backend, layer, spikes, membrane, dtype, needed, final))
            spikes = present(outputs[-1].spikes)
        return outputs
    # Imported here because it loads Numba, which importing the package must not do.
    from spikemnist import engine

    for group in _groups(layers):
        first, membranes = group[0], initial[len(outputs) :][: len(group)]
        last = len(outputs) + len(group) == len(layers)
        layer_record = record if record == "all" or last else "spikes"
        if not first.takes_spikes:
            outputs.append(_run_current(first, spikes, membranes[0], dtype, layer_record, final))
        else:
            signal, params = _dense(group, spikes, membranes, dtype)
            outputs += engine.run(params, signal, record=layer_record, final=final)
        spikes = spikes if last else present(outputs[-1].spikes)
    return outputs


def _groups(layers: Sequence[SpikingLayer]) -> list[list[SpikingLayer]]:
    """Group consecutive dense layers that exchange packed spikes.

    One call of the engine runs a group. Any other layer is a group by itself.
    """
    groups: list[list[SpikingLayer]] = []
    for layer in layers:
        sent = groups and groups[-1][0].takes_spikes
        if sent and layer.takes_spikes and layer.dropout < 1:
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def _dense(
    group: Sequence[SpikingLayer], spikes: Tensor, initial: State, dtype: torch.dtype
) -> tuple[Tensor, list[LayerParams]]:
    """Return the input ``[T, B, F]`` of a group of dense layers, and their parameters.

    The engine drops input spikes of an integer dtype. Floating ones may need a gradient: their
    dropout scales them, so the first layer gets no weights, and its input is the current.
    """
    from spikemnist import engine

    first, shape = group[0], tuple(spikes.shape[2:])
    dropped = first.dropout and (spikes.is_floating_point() or first.dropout == 1)
    if dropped:
        current = first.current(spikes, dtype, engine)
        spikes = current.expand(len(spikes), *current.shape[1:])
    params = []
    for layer, membrane in zip(group, initial, strict=True):
        shape = layer.shape_behind(shape)
        layer.check_state(membrane, (spikes.shape[1], *shape))
        done = dropped and layer is first
        weights, dropout = (None, 0.0) if done else (layer.weights(), layer.dropout)
        params.append(layer.params(shape, dtype, membrane, weights=weights, dropout=dropout))
    return spikes.flatten(2), params


def _run_current(
    layer: SpikingLayer,
    spikes: Tensor,
    initial: Tensor | None,
    dtype: torch.dtype,
    record: str,
    final: bool,
) -> LayerOutput:
    """Run neurons on the engine whose current torch computes, as after a convolution.

    A convolution returns channels-last memory, and the neurons are numbered in this order.
    """
    from spikemnist import engine

    current = layer.current(spikes, dtype, engine)
    shape = tuple(current.shape[2:])
    layer.check_state(initial, (current.shape[1], *shape))
    params = layer.params(shape, dtype, initial, channels_last=True)
    signal = current.movedim(2, -1)
    pixels = signal.shape[2:]
    signal = signal.flatten(2).expand(len(spikes), -1, -1)
    (output,) = engine.run([params], signal, record=record, final=final)
    output_spikes, membrane, last = (
        None if tensor is None else tensor.view(*tensor.shape[:-1], *pixels).movedim(-1, leading)
        for tensor, leading in ((output.spikes, 2), (output.membrane, 2), (output.final, 1))
    )
    return LayerOutput(output_spikes, membrane, output.counts, last, shape)


def _run_layer(
    backend: str,
    layer: SpikingLayer,
    spikes: Tensor,
    initial: Tensor | None,
    dtype: torch.dtype,
    needed: bool,
    final: bool,
) -> LayerOutput:
    """Call the modules of one layer, and scan its neurons; Triton skips unneeded membranes."""
    current = layer.current(spikes, dtype)
    layer.check_state(initial, current.shape[1:])
    number = torch.promote_types(current.dtype, torch.float32)
    params = layer.params(current.shape[2:], number, initial)
    signal = current.flatten(2).expand(len(spikes), -1, -1)
    shape = (len(spikes), *current.shape[1:])
    if backend == "triton":
        from spikemnist.gpu.scan import scan  # imports Triton

        output_spikes, membrane, last = scan(signal, params, membrane=needed)
    else:
        output_spikes, membrane = ops.leaky(
            signal,
            params.beta,
            params.threshold,
            reset_mechanism=params.reset_mechanism,
            spike_grad=params.spike_grad,
            initial=params.initial,
        )
        last = membrane[-1]
    output_spikes = output_spikes.reshape(shape)
    membrane = None if membrane is None else membrane.reshape(shape)
    # A copy, since a state must not keep the membranes of all timesteps.
    state = last.reshape(shape[1:]).clone() if final else None
    return LayerOutput(output_spikes, membrane, count_spikes(output_spikes), state, shape[2:])


def present(tensor: Tensor | None) -> Tensor:
    """Return a tensor that was asked for, so it is there: all but what a group passes on inside."""
    assert tensor is not None
    return tensor

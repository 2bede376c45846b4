"""Run all layers of a network, forward and backward: the entry point of the engine.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spikemnist.engine import gradients, layer_run
from spikemnist.engine.bounds import NUMPY, check_layers
from spikemnist.engine.gradients import FromAbove, LayerGradients, Needs
from spikemnist.engine.layer_run import LayerRun, array_of, tensor_of
from spikemnist.engine.signal import dense_input, drop_from, pack_input, packed_input
from spikemnist.kernels import spike_lists
from spikemnist.kernels.blocks import join_blocks
from spikemnist.ops.layer import LayerOutput, LayerParams
from spikemnist.ops.once import once_differentiable
from spikemnist.ops.reference import through_clamp


def run(
    layers: Sequence[LayerParams],
    spikes: Tensor,
    *,
    record: str = "output",
    final: bool = False,
) -> list[LayerOutput]:
    """Run layers over all timesteps, each on the spikes of the previous one.

    Equivalent to `spikemnist.ops.linear` and `spikemnist.ops.leaky` layer by layer, but spikes are
    passed between the layers as bits.

    Parameters
    ----------
    layers : sequence of LayerParams
        Layers, at least one; surrogates must be named ones, the dtype float32 or float64. Dropout
        in the first layer needs weights, and spikes of an integer dtype or bool.
    spikes : torch.Tensor
        Input ``[T, B, F]``, any dtype, on the CPU; the current of a first layer without weights.
    record : str, default "output"
        ``"output"`` keeps spikes and membranes of the last layer, ``"spikes"`` its spikes alone,
        ``"all"`` spikes and membranes of every layer.
    final : bool, default False
        Whether to return the membranes after the last timestep.

    Returns
    -------
    list of LayerOutput
        Output of each layer.

    Raises
    ------
    ValueError
        If a shape or a surrogate does not fit.
    TypeError
        If a layer mixes dtypes or is neither in float32 nor in float64.

    Notes
    -----
    Input spikes are summed in another order than in a matrix product, so a membrane within
    rounding of the threshold may fire here and not there. A weight that is infinite or not a number
    has no effect while its input is silent, whereas a matrix product would give NaN.
    """
    check_layers(spikes, layers)
    tensors = [tensor for params in layers for tensor in params.tensors]
    learns = any(x is not None and x.requires_grad for x in (spikes, *tensors))
    arguments = layers, record, final, spikes
    if learns and torch.is_grad_enabled():
        flat = _Network.apply(*arguments, *tensors)  # type: ignore[no-untyped-call]
    else:
        flat = _Network.forward(None, *arguments)
    results, size = [], spikes.shape[2]
    for params, (train, membrane, last, counts) in zip(layers, _split(flat, layers), strict=True):
        size = size if params.weight is None else params.weight.shape[0]
        results.append(LayerOutput(train, membrane, counts, last, (size,)))
    return results


def _split(flat: Sequence[Any], layers: Sequence[LayerParams]) -> list[Sequence[Any]]:
    """Divide a flat sequence, in which all layers have as many items, by layer."""
    size = len(flat) // len(layers)
    return [flat[begin : begin + size] for begin in range(0, len(flat), size)]


class _Network(torch.autograd.Function):
    """All layers as one autograd operation; ``ctx`` is None if nothing requires a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        layers: Sequence[LayerParams],
        record: str,
        final: bool,
        spikes: Tensor,
        *tensors: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        dtype, (steps, batch, _), learns = layers[0].beta.dtype, spikes.shape, ctx is not None
        # A current does not consist of spikes, so there is nothing to pack.
        signal = (dense_input if layers[0].weight is None else pack_input)(spikes, dtype)
        runs, flat, saved = list["LayerRun"](), list["Tensor | None"](), list["Tensor | None"]()
        for index, params in enumerate(layers):
            if params.dropout:
                signal = drop_from(signal, (steps, batch), params.dropout)
            recorded, last = record == "all", index == len(layers) - 1
            keeps_membrane = recorded or (last and record == "output")
            run = layer_run.forward(
                signal, params, (steps, batch), keep=learns, record=keeps_membrane, final=final
            )
            assert run.words is not None
            size, train, membrane = layer_run.layer_size(signal, params), None, None
            if recorded or last:
                train = spike_lists.unpack(run.words, size, NUMPY[dtype])
            if keeps_membrane:
                assert run.membrane is not None
                membrane = join_blocks(run.membrane, size)
            flat += [train, membrane, tensor_of(run.final), torch.from_numpy(run.counts)]
            if (
                learns and index == 0
            ):  # where there are words, the input is saved for `once_differentiable` alone
                numbers = signal.dense if params.dropout else spikes
                saved = [numbers if signal.words is None or spikes.requires_grad else None]
            if learns:
                saved += map(tensor_of, (signal.words, signal.mask, run.membrane, run.current))
                # Autograd frees the saved tensors after the backward pass.
                runs.append(run.without_arrays())
            signal = packed_input(size, run.words, run.counts)
        if learns:
            ctx.set_materialize_grads(False)
            ctx.layers, ctx.runs = layers, runs
            ctx.save_for_backward(*tensors, *saved)
        return tuple(flat)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *loss: Tensor | None) -> tuple[Tensor | None, ...]:
        layers = ctx.layers
        _, _, _, needs_input, *needs = ctx.needs_input_grad
        # The layers hold their own tensors. Autograd has checked that none of them has changed.
        spikes, *saved = ctx.saved_tensors[len(needs) :]
        tensor_gradients, above = list["Tensor | None"](), None
        by_layer = [_split(flat, layers) for flat in (saved, needs, loss)]
        stack = list(zip(layers, ctx.runs, *by_layer, strict=True))
        for index in reversed(range(len(stack))):
            params, run, arrays, of_tensors, of_outputs = stack[index]
            words, mask, membrane, current = map(array_of, arrays)
            signal = run.signal._replace(words=words, mask=mask)
            if index == 0 and words is None:
                numbers = dense_input(spikes, params.beta.dtype)
                signal = numbers._replace(scale=signal.scale)
            layer_needs = Needs._make([*of_tensors, index > 0 or needs_input])
            run = run._replace(signal=signal, membrane=membrane, current=current)
            # The counts, the last of the outputs, have no gradient.
            result = gradients.backward(params, run, of_outputs[:-1], above, layer_needs)
            tensor_gradients[:0] = _tensor_gradients(result, params, layer_needs)
            above = result.below
        input_gradient = None if above is None else _input_gradient(above)
        return None, None, None, input_gradient, *tensor_gradients


def _tensor_gradients(
    result: LayerGradients, params: LayerParams, needs: Needs
) -> list[Tensor | None]:
    """Return the gradients of a layer's tensors, None where they are not needed."""
    return [
        result.weight if needs.weight else None,
        result.sums[0] if needs.bias else None,
        through_clamp(result.sums[1], params.beta) if needs.beta else None,
        result.sums[2].sum_to_size(params.threshold.shape) if needs.threshold else None,
        result.initial if needs.initial else None,
    ]


def _input_gradient(above: FromAbove) -> Tensor:
    if above.profile is None:
        return above.adjoint
    return torch.from_numpy(above.profile)[:, None, None] * above.adjoint

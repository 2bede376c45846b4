"""Run all layers of a network, forward and backward: the entry point of the engine.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from spikemnist.engine import gradients, layer_run
from spikemnist.engine.bounds import check_layers
from spikemnist.engine.dropout import draw_bits
from spikemnist.engine.gradients import FromAbove, Gradients, Needs
from spikemnist.engine.layer_run import LayerRun, array_of, tensor_of
from spikemnist.engine.signal import dense_input, drop_from, pack_input, packed_input
from spikemnist.kernels import spike_lists
from spikemnist.kernels.blocks import join_blocks
from spikemnist.ops.layer import LayerOutput, LayerParams
from spikemnist.ops.once import once
from spikemnist.ops.reference import through_clamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

NAMES = Needs._fields[:-1]  # all but the input
"""Names of the tensors of a layer, in the order of `LayerParams.tensors`."""

TENSORS = len(NAMES)

SAVED = TENSORS + 3
"""Number of tensors that are saved for the backward pass of a layer: its own, the words and the
kept spikes of its input, and its membranes."""

OUTPUTS = 4
"""Number of output tensors of a layer: spikes, membranes, final membranes, counts of spikes."""


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
    ends, everything = [False] * (len(layers) - 1) + [True], record == "all"
    setting = Setting(
        layers=layers,
        masks=_masks(spikes, layers),
        spikes=[everything or end for end in ends],
        membranes=[everything or (end and record == "output") for end in ends],
        final=final,
    )
    if learns and torch.is_grad_enabled():
        flat = _Network.apply(setting, spikes, *tensors)  # type: ignore[no-untyped-call]
    else:
        flat = _Network.forward(None, setting, spikes)
    results, size = [], spikes.shape[2]
    for index, params in enumerate(layers):
        size = size if params.weight is None else params.weight.shape[0]
        train, membrane, last, counts = flat[OUTPUTS * index : OUTPUTS * (index + 1)]
        results.append(LayerOutput(train, membrane, counts, last, (size,)))
    return results


class Setting(NamedTuple):
    """Arguments of a call that need no gradient.

    The bits of a mask are set where dropout keeps a spike. ``spikes`` and ``membranes`` flag the
    layers for which these are returned.
    """

    layers: Sequence[LayerParams]
    masks: Sequence[Array | None]
    spikes: Sequence[bool]
    membranes: Sequence[bool]
    final: bool


def _masks(spikes: Tensor, layers: Sequence[LayerParams]) -> list[Array | None]:
    """Draw the dropout mask of each layer, in bits."""
    steps, batch, size = spikes.shape
    masks: list[Array | None] = []
    for params in layers:
        masks.append(draw_bits(steps, batch, size, params.dropout) if params.dropout else None)
        size = size if params.weight is None else params.weight.shape[0]
    return masks


class _Network(torch.autograd.Function):
    """All layers as one autograd operation; ``ctx`` is None if nothing requires a gradient."""

    @staticmethod
    def forward(
        ctx: Any, setting: Setting, spikes: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        layers, masks, learns = setting.layers, setting.masks, ctx is not None
        dtype, shape = layers[0].beta.dtype, (spikes.shape[0], spikes.shape[1])
        # A current does not consist of spikes, so there is nothing to pack.
        signal = (dense_input if layers[0].weight is None else pack_input)(spikes, dtype)
        runs, flat, saved = list["LayerRun"](), list["Tensor | None"](), list["Tensor | None"]()
        for index, params in enumerate(layers):
            if (mask := masks[index]) is not None:
                signal = drop_from(signal, mask, params.dropout)
            record, size = setting.membranes[index], layer_run.layer_size(signal, params)
            run = layer_run.forward(
                signal, params, shape, keep=learns, record=record, final=setting.final
            )
            assert run.words is not None
            train = membrane = None
            if setting.spikes[index]:
                train = spike_lists.unpack(run.words, size, layer_run.NUMPY[dtype])
            if record:
                assert run.membrane is not None
                membrane = join_blocks(run.membrane, size)
            flat += [train, membrane, tensor_of(run.final), torch.from_numpy(run.counts)]
            if learns and index == 0:  # where there are words, the input is saved for `once` alone
                numbers = spikes if mask is None else signal.dense
                saved = [numbers if signal.words is None or ctx.needs_input_grad[1] else None]
            if learns:
                own = tensors[TENSORS * index : TENSORS * (index + 1)]
                saved += [*own, *map(tensor_of, (signal.words, signal.mask, run.membrane))]
                # Autograd frees the saved tensors after the backward pass; the rest is small.
                small = signal._replace(words=None, mask=None, dense=None)
                runs.append(run._replace(signal=small, words=None, membrane=None, final=None))
            signal = packed_input(size, run.words, run.counts)
        if learns:
            ctx.set_materialize_grads(False)
            ctx.layers, ctx.runs = layers, runs
            ctx.save_for_backward(*saved)
        return tuple(flat)

    @staticmethod
    @once
    def backward(ctx: Any, *loss: Tensor | None) -> tuple[Tensor | None, ...]:
        spikes, *saved = ctx.saved_tensors
        _, needs_input, *needs = ctx.needs_input_grad
        tensor_gradients: list[Tensor | None] = []
        above = None
        for index in reversed(range(len(ctx.layers))):
            own = saved[SAVED * index : SAVED * (index + 1)]
            params = replace(ctx.layers[index], **dict(zip(NAMES, own, strict=False)))
            words, mask, membrane = map(array_of, own[TENSORS:])
            signal = ctx.runs[index].signal._replace(words=words, mask=mask)
            if index == 0 and words is None:
                numbers = dense_input(spikes, params.beta.dtype)
                signal = numbers._replace(scale=signal.scale)
            of_tensors = needs[TENSORS * index : TENSORS * (index + 1)]
            layer_needs = Needs._make([*of_tensors, index > 0 or needs_input])
            result = gradients.backward(
                params,
                ctx.runs[index]._replace(signal=signal, membrane=membrane),
                loss[OUTPUTS * index : OUTPUTS * (index + 1) - 1],  # of all but the counts
                above,
                layer_needs,
            )
            tensor_gradients[:0] = _of_tensors(result, params, layer_needs)
            above = None
            if result.adjoint is not None:
                above = FromAbove(
                    result.adjoint, params.weight, result.profile, signal.mask, signal.scale
                )
        return None, _of_input(above) if needs_input else None, *tensor_gradients


def _of_tensors(result: Gradients, params: LayerParams, needs: Needs) -> list[Tensor | None]:
    """Return the gradients of a layer's tensors, None where they are not needed."""
    return [
        result.weight if needs.weight else None,
        result.sums[0] if needs.bias else None,
        through_clamp(result.sums[1], params.beta) if needs.beta else None,
        result.sums[2].sum_to_size(params.threshold.shape) if needs.threshold else None,
        result.initial if needs.initial else None,
    ]


def _of_input(above: FromAbove | None) -> Tensor:
    assert above is not None
    gradient = above.adjoint if above.weight is None else above.adjoint @ above.weight
    if above.profile is None:
        return gradient
    return torch.from_numpy(above.profile)[:, None, None] * gradient

"""The engine as torch knows it: differentiable, and as operators that it can trace.

``spikemnist::leaky_layers`` and ``spikemnist::leaky_layers_backward`` are what `torch.compile` and
`torch.export` see. Without a trace the same two functions are called directly: an operator with
lists of tensors costs some hundred microseconds a call.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features, ``L`` layers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence  # noqa: TC003 - torch reads the annotations
from typing import Any

import torch
from torch import Tensor

from spikemnist.ops.event_driven.layers import of_clamped
from spikemnist.ops.event_driven.network import (
    PER_LAYER,
    Output,
    are_spikes,
    differentiate_layers,
    differentiate_network,
    nothing_or,
    received,
    run_and_keep,
    run_network,
    stack_of,
)
from spikemnist.ops.event_driven.registers import WIDTH
from spikemnist.ops.event_driven.tiles import tiles_of

TENSORS = 6
"""Lists of tensors that `run_network` takes after the spikes."""

leaky_layers = torch.library.custom_op(
    "spikemnist::leaky_layers", mutates_args=(), device_types="cpu"
)(run_network)

leaky_layers_backward = torch.library.custom_op(
    "spikemnist::leaky_layers_backward", mutates_args=(), device_types="cpu"
)(differentiate_network)


@leaky_layers.register_fake
def _(
    spikes: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    betas: Sequence[Tensor],
    thresholds: Sequence[Tensor],
    initials: Sequence[Tensor],
    masks: Sequence[Tensor],
    resets: Sequence[int],
    slopes: Sequence[float],
    scales: Sequence[float],
    record: Sequence[bool],
    final: bool,
    keep: bool,
) -> list[Tensor]:
    steps, batch, features = spikes.shape
    bits = spikes.new_empty((batch, steps, tiles_of(features)), dtype=torch.int64)
    outputs, size = list[Tensor](), features
    for weight, beta, mask, recorded in zip(weights, betas, masks, record, strict=True):
        size = len(weight) if weight.dim() == 2 else size
        tiles = tiles_of(size)
        outputs += Output(
            _shaped(beta, (steps, batch, size), there=recorded),
            _shaped(beta, (steps, batch, size), there=recorded),
            _shaped(beta, (batch, size), there=final),
            bits.new_empty((batch, steps, tiles)),
            _shaped(beta, (batch, tiles, steps, WIDTH), there=keep),
            _shaped(bits, (batch, steps, tiles), there=mask.dim() == 3),
        )
    return [*outputs, bits.new_empty((len(weights) + 1, batch)), bits]


@leaky_layers_backward.register_fake
def _(
    loss: Sequence[Tensor],
    spikes: Tensor,
    features: int,
    counts: Tensor,
    words: Sequence[Tensor],
    tiles: Sequence[Tensor],
    kept: Sequence[Tensor],
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    betas: Sequence[Tensor],
    thresholds: Sequence[Tensor],
    initials: Sequence[Tensor],
    resets: Sequence[int],
    slopes: Sequence[float],
    scales: Sequence[float],
    record: Sequence[bool],
    wanted: Sequence[bool],
) -> list[Tensor]:
    batch, _, steps, _ = tiles[0].shape
    like = betas[0]
    gradients, size = [_shaped(like, (steps, batch, features), there=wanted[0])], features
    for index, weight in enumerate(weights):
        size = len(weight) if weight.dim() == 2 else size
        of_weight, parameters, initial = wanted[3 * index + 1 : 3 * index + 4]
        gradients += [
            _shaped(like, weight.shape, there=of_weight),
            like.new_empty((3 if parameters else 1, size)),
            _shaped(like, (batch, size), there=initial),
        ]
    return gradients


def _shaped(like: Tensor, shape: Sequence[int], *, there: bool) -> Tensor:
    """Return a tensor of a shape, or what `nothing_or` returns for none."""
    return like.new_empty(shape) if there else like.new_empty((0,), dtype=torch.float32)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    spikes, weights, biases, betas, thresholds, initials, _, *settings = inputs
    *fields, counts, words = output
    per_layer = [Output(*fields[i : i + PER_LAYER]) for i in range(0, len(fields), PER_LAYER)]
    kept = [layer.kept for layer in per_layer]
    ctx.mark_non_differentiable(*[layer.tiles for layer in per_layer])
    ctx.set_materialize_grads(False)
    ctx.settings = settings
    # Spikes are kept as bits; their dense form is needed only where it was something else, and
    # always in a trace, which cannot know.
    ctx.features = spikes.shape[2]
    if type(counts) is Tensor and are_spikes(counts):
        spikes = nothing_or(None)
    ctx.save_for_backward(
        spikes,
        counts,
        *[words, *[layer.words for layer in per_layer[:-1]]],
        *[layer.tiles for layer in per_layer],
        *kept,
        *weights,
        *biases,
        *betas,
        *thresholds,
        *initials,
    )


def _backward(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    return _gradients(ctx, ctx.needs_input_grad, gradients, leaky_layers_backward)


def _gradients(
    ctx: Any,
    needs_gradient: Sequence[Any],
    gradients: Sequence[Tensor | None],
    differentiate: Callable[..., list[Tensor]],
) -> tuple[Any, ...]:
    """Return a gradient, or None, for each argument of `run_network`."""
    resets, slopes, scales, record, *_ = ctx.settings
    count = len(resets)
    spikes, counts, *saved = ctx.saved_tensors
    words, tiles, kept, weights, biases, betas, thresholds, initials = (
        saved[i * count : (i + 1) * count] for i in range(8)
    )
    needs_spikes, *needs = needs_gradient[:TENSORS]
    needs_weight, needs_bias, needs_beta, needs_threshold, needs_initial = needs
    wanted = [needs_spikes]
    for i in range(count):
        wanted += [needs_weight[i], needs_beta[i] or needs_threshold[i], needs_initial[i]]
    loss = [nothing_or(gradients[PER_LAYER * i + j]) for i in range(count) for j in range(3)]
    settings = (resets, slopes, scales, record, wanted)
    tensors = (words, tiles, kept, weights, biases, betas, thresholds, initials)
    of_spikes, *of_layers = differentiate(loss, spikes, ctx.features, counts, *tensors, *settings)
    of_weight, sums, of_initial = (of_layers[i::3] for i in range(3))
    of_bias = [total[0] if needed else None for total, needed in zip(sums, needs_bias, strict=True)]
    return (
        of_spikes if needs_spikes else None,
        _asked(of_weight, needs_weight),
        of_bias,
        [
            of_clamped(total[1], beta) if needed else None
            for total, beta, needed in zip(sums, betas, needs_beta, strict=True)
        ],
        [
            total[2].sum_to_size(threshold.shape) if needed else None
            for total, threshold, needed in zip(sums, thresholds, needs_threshold, strict=True)
        ],
        _asked(of_initial, needs_initial),
        [None] * count,
        *[None] * len(ctx.settings),
    )


def _asked(gradients: Sequence[Tensor], needed: Sequence[bool]) -> list[Tensor | None]:
    return [gradient if need else None for gradient, need in zip(gradients, needed, strict=True)]


leaky_layers.register_autograd(_backward, setup_context=_setup_context)


class _Untraced(torch.autograd.Function):
    """The same without the operators in between."""

    @staticmethod
    def forward(
        ctx: Any, spikes: Tensor, settings: tuple[Any, ...], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        *lists, masks = _in_lists(tensors)
        *codes, record, final, keep = settings
        stack = stack_of(*lists, *codes)
        output, ctx.prepared = run_and_keep(spikes, stack, masks, record, final=final, keep=keep)
        _setup_context(ctx, (spikes, *lists, masks, *settings), output)
        return tuple(output)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        needs_spikes, _, *needs = ctx.needs_input_grad
        structured = [needs_spikes, *_in_lists(needs)]
        differentiate = functools.partial(_differentiate, ctx.prepared)
        of_spikes, *of_lists = _gradients(ctx, structured, gradients, differentiate)
        return of_spikes, None, *(one for of_list in of_lists[:TENSORS] for one in of_list)


def _differentiate(
    prepared: Sequence[Any],
    loss: Sequence[Tensor],
    spikes: Tensor,
    features: int,
    counts: Tensor,
    words: Sequence[Tensor],
    tiles: Sequence[Tensor],
    kept: Sequence[Tensor],
    *given: Any,
) -> list[Tensor]:
    """Do what `differentiate_network` does, with preparations of the forward pass."""
    *lists, record, wanted = given
    stack, signals = received(spikes, features, counts, words, kept, *lists)
    return differentiate_layers(stack, signals, tiles, prepared, loss, record, wanted)


def _in_lists(flat: Sequence[Any]) -> list[list[Any]]:
    count = len(flat) // TENSORS
    return [list(flat[i * count : (i + 1) * count]) for i in range(TENSORS)]


def call(
    spikes: Tensor, lists: Sequence[Sequence[Tensor]], settings: tuple[Any, ...]
) -> Sequence[Tensor]:
    """Call `run_network` with its lists of tensors and its settings, differentiably.

    Parameters
    ----------
    spikes
        ``[T, B, F]``.
    lists
        weights, biases, betas, thresholds, initials and masks.
    settings
        The other arguments, in order.
    """
    if torch.compiler.is_compiling() or type(spikes.detach()) is not Tensor:
        outputs: Sequence[Tensor] = leaky_layers(spikes, *lists, *settings)
        return outputs
    if settings[-1]:
        flat: Sequence[Tensor] = _Untraced.apply(  # type: ignore[no-untyped-call]
            spikes, settings, *(tensor for one in lists for tensor in one)
        )
        return flat
    arguments: tuple[Any, ...] = (*lists, *settings)
    return run_network(spikes, *arguments)

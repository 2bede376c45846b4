"""The engine as torch's autograd knows it, where nothing is traced.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features, ``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from spikemnist.engine import network
from spikemnist.engine.bounds import check_unchanged, forms_of
from spikemnist.engine.gradients import Gradients, Wanted
from spikemnist.engine.layers import Layer
from spikemnist.engine.network import Asked, Shown
from spikemnist.engine.signals import receive_dense
from spikemnist.ops.reference import through_clamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

TENSORS = 5
"""Of a layer: see `Layer.tensors`."""


def call(
    spikes: Tensor, stack: Sequence[Layer], masks: Sequence[Tensor | None], asked: Asked
) -> tuple[list[Shown], Tensor]:
    """Run layers, differentiably; return what they show, and their spikes, ``[L, B]``."""
    if not asked.keep:
        ran = network.run(spikes, stack, masks, asked)
        return network.shown(ran, asked), network.spike_counts(ran)
    tensors = [tensor for layer in stack for tensor in layer.tensors]
    *flat, counts = _Layers.apply(  # type: ignore[no-untyped-call]
        stack, masks, asked, spikes, *tensors
    )
    return [Shown(*flat[i : i + 3]) for i in range(0, len(flat), 3)], counts


class _Layers(torch.autograd.Function):
    """`network.run` and `network.differentiate`."""

    @staticmethod
    def forward(
        ctx: Any,
        stack: Sequence[Layer],
        masks: Sequence[Tensor | None],
        asked: Asked,
        spikes: Tensor,
        *tensors: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        ran = network.run(spikes, stack, masks, asked)
        ctx.set_materialize_grads(False)
        # What is small: a graph that outlives its backward pass lets go only of what is saved.
        ctx.stack, ctx.asked = stack, asked
        ctx.received = [signal._replace(words=None, dense=None) for signal in ran.received]
        ctx.prepared = [did.prepared for did in ran.did]
        saved = (
            # Spikes are kept as bits; their dense form only where it was something else.
            spikes if ran.received[0].words is None else None,
            *[signal.words for signal in ran.received],
            *[did.membrane for did in ran.did],
            *[layer.kept for layer in ran.stack],
            *tensors,
        )
        ctx.forms = forms_of(saved)
        ctx.save_for_backward(*saved)
        flat = [tensor for one in network.shown(ran, asked) for tensor in one]
        return *flat, network.spike_counts(ran)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        spikes, *saved = found = ctx.saved_tensors
        check_unchanged(ctx.forms, found)
        count = len(ctx.stack)
        words, tiles, kept = (saved[i * count : (i + 1) * count] for i in range(3))
        tensors = saved[3 * count :]
        stack = [
            Layer(*tensors[TENSORS * i : TENSORS * (i + 1)], *layer[TENSORS:])._replace(kept=bits)
            for i, (layer, bits) in enumerate(zip(ctx.stack, kept, strict=True))
        ]
        received = [
            signal._replace(words=bits) for signal, bits in zip(ctx.received, words, strict=True)
        ]
        if spikes is not None:
            received[0] = receive_dense(spikes, stack[0].beta.dtype)
        _, _, _, needs_spikes, *needs = ctx.needs_input_grad
        needed = [needs[TENSORS * i : TENSORS * (i + 1)] for i in range(count)]
        of_input, of_layers = network.differentiate(
            stack,
            received,
            tiles,
            ctx.prepared,
            [gradients[3 * i : 3 * i + 3] for i in range(count)],
            ctx.asked.record,
            [wanted_of(need, signal=i > 0 or needs_spikes) for i, need in enumerate(needed)],
        )
        results: list[Tensor | None] = [None, None, None, of_input]
        for layer, got, need in zip(stack, of_layers, needed, strict=True):
            results += gradients_of(got, layer.beta, layer.threshold, need)
        return tuple(results)


def wanted_of(needed: Sequence[bool], *, signal: bool) -> Wanted:
    """Return what a layer has to find out where these of its five tensors need a gradient."""
    weight, _, beta, threshold, initial = needed
    return Wanted(weight, beta or threshold, initial, signal)


def gradients_of(
    got: Gradients, beta: Tensor, threshold: Tensor, needed: Sequence[bool]
) -> list[Tensor | None]:
    """Return the gradients of a layer's five tensors, those that are needed, else None."""
    needs_weight, needs_bias, needs_beta, needs_threshold, needs_initial = needed
    return [
        got.weight if needs_weight else None,
        got.sums[0] if needs_bias else None,
        through_clamp(got.sums[1], beta) if needs_beta else None,
        got.sums[2].sum_to_size(threshold.shape) if needs_threshold else None,
        got.initial if needs_initial else None,
    ]

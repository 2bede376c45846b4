"""The engine as operators that torch can trace, for `torch.compile` and `torch.export`.

``spikemnist::leaky_layers`` and ``spikemnist::leaky_layers_backward`` do what `network` does with
lists of tensors, one entry for each layer; a tensor of no elements stands for one that is not
there. Without a trace they are not used: an operator with lists of tensors costs some hundred
microseconds a call.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features, ``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from spikemnist.engine import layers, network
from spikemnist.engine.autograd import gradients_of, wanted_of
from spikemnist.engine.bounds import (
    check_backward,
    check_codes,
    check_masks,
    check_spikes,
    check_stack,
    check_words,
)
from spikemnist.engine.gradients import Gradients, Wanted
from spikemnist.engine.layers import Layer
from spikemnist.engine.network import Asked, Shown
from spikemnist.engine.signals import Signal, receive_dense, receive_words
from spikemnist.kernels import events
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.tiles import tiles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PER_LAYER = 6
"""How many tensors come out for each layer: the fields of `Output`."""

TENSORS = 6
"""Lists of tensors that `run_network` takes after the spikes."""


class Output(NamedTuple):
    """What comes out for a layer.

    ``spikes`` and ``membrane`` ``[T, B, N]`` where they are recorded and ``final`` ``[B, N]``
    where it is asked for; for the backward pass ``words`` ``[B, T, M]``, ``tiles``
    ``[B, M, T, WIDTH]`` of membranes, and in ``kept`` the words that dropout let through.
    """

    spikes: Tensor
    membrane: Tensor
    final: Tensor
    words: Tensor
    tiles: Tensor
    kept: Tensor


def run_network(
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
    """Run layers of leaky neurons.

    Parameters
    ----------
    spikes
        ``[T, B, F]``.
    weights, biases, betas, thresholds, initials
        ``[N, F]``, ``[N]``, ``[N]`` or a scalar, ``[N]`` or a scalar, ``[B, N]``. Where there
        are no weights, the layer's input is its current.
    masks
        ``[T, B, N]``, one where dropout lets a spike through to the next layer.
    resets, slopes, scales
        Codes of the reset mechanisms; codes and two parameters of the surrogate derivatives; how
        many times as strong dropout makes the spikes that it lets through.
    record, final, keep
        As in `Asked`.

    Returns
    -------
    list of torch.Tensor
        The fields of `Output` for each layer; the number of spikes of the input and of each layer
        for each sample, int64 ``[L + 1, B]``, -1 for an input that is not spikes; and the words
        of the input.
    """
    stack = _stack_of(weights, biases, betas, thresholds, initials, resets, slopes, scales)
    check_spikes(spikes)
    check_stack(spikes.shape[1], spikes.shape[2], stack)
    check_masks(spikes, stack, masks)
    asked = Asked(record, final, keep)
    ran = network.run(spikes, stack, [mask if mask.numel() else None for mask in masks], asked)
    outputs = list[Tensor]()
    for layer, did, seen in zip(ran.stack, ran.did, network.shown(ran, asked), strict=True):
        tiles = did.membrane if keep else None
        outputs += [nothing_or(tensor) for tensor in (*seen, did.words, tiles, layer.kept)]
    first, (steps, batch, features) = ran.received[0], spikes.shape
    counts, words = torch.full((1, batch), -1, device="cpu"), first.words
    if words is None:
        shape = (batch, steps, tiles_of(features))
        words = torch.zeros(shape, dtype=torch.int64, device="cpu")
    else:
        counts = torch.from_numpy(first.counts)[None]
    return [*outputs, torch.cat((counts, network.spike_counts(ran))), words]


def differentiate_network(
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
    """Differentiate what `run_network` did.

    Parameters
    ----------
    loss
        The gradients of ``spikes``, ``membrane`` and ``final`` of each layer.
    spikes, features
        The input ``[T, B, F]``, which is looked at only where it was not spikes, and ``F``.
    counts, words, tiles, kept
        What `run_network` returned; ``words`` begins with those of the input.
    wanted
        The fields of `Wanted` for each layer.

    Returns
    -------
    list of torch.Tensor
        The gradient of the input ``[T, B, F]``; and for each layer those of the weight
        ``[N, F]``, of bias, beta and threshold for each neuron, ``[1 or 3, N]``, and of the
        initial membrane ``[B, N]``.
    """
    stack = _stack_of(weights, biases, betas, thresholds, initials, resets, slopes, scales)
    stack = [layer._replace(kept=_some(bits)) for layer, bits in zip(stack, kept, strict=True)]
    count, (batch, steps, _) = len(stack), words[0].shape
    check_words((steps, batch, features), stack, words)
    received = _received(stack, spikes, features, counts, words)
    of_loss = [[_some(gradient) for gradient in loss[3 * i : 3 * i + 3]] for i in range(count)]
    check_backward((steps, batch, features), stack, received, tiles, of_loss)
    of_input, of_layers = network.differentiate(
        stack,
        received,
        tiles,
        [None] * count,
        of_loss,
        record,
        [Wanted(*wanted[4 * i : 4 * i + 4]) for i in range(count)],
    )
    gradients = [nothing_or(of_input)]
    for got in of_layers:
        gradients += [nothing_or(got.weight), got.sums, nothing_or(got.initial)]
    return gradients


# Written out: older releases of torch read no annotations that are strings.
leaky_layers = torch.library.custom_op(
    "spikemnist::leaky_layers",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor spikes, Tensor[] weights, Tensor[] biases, Tensor[] betas, "
    "Tensor[] thresholds, Tensor[] initials, Tensor[] masks, SymInt[] resets, float[] slopes, "
    "float[] scales, bool[] record, bool final, bool keep) -> Tensor[]",
)(run_network)

leaky_layers_backward = torch.library.custom_op(
    "spikemnist::leaky_layers_backward",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor[] loss, Tensor spikes, SymInt features, Tensor counts, Tensor[] words, "
    "Tensor[] tiles, Tensor[] kept, Tensor[] weights, Tensor[] biases, Tensor[] betas, "
    "Tensor[] thresholds, Tensor[] initials, SymInt[] resets, float[] slopes, float[] scales, "
    "bool[] record, bool[] wanted) -> Tensor[]",
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
    asked = [Wanted(*wanted[4 * i : 4 * i + 4]) for i in range(len(weights))]
    gradients = [_shaped(like, (steps, batch, features), there=asked[0].signal)]
    size = features
    for weight, each in zip(weights, asked, strict=True):
        size = len(weight) if weight.dim() == 2 else size
        gradients += [
            _shaped(like, weight.shape, there=each.weight),
            like.new_empty((3 if each.parameters else 1, size)),
            _shaped(like, (batch, size), there=each.initial),
        ]
    return gradients


def _shaped(like: Tensor, shape: Sequence[int], *, there: bool) -> Tensor:
    """Return a tensor of a shape, or what `nothing_or` returns for none."""
    return like.new_empty(shape) if there else like.new_empty((0,), dtype=torch.float32)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    spikes, weights, biases, betas, thresholds, initials, _, *settings = inputs
    *fields, counts, words = output
    per_layer = [Output(*fields[i : i + PER_LAYER]) for i in range(0, len(fields), PER_LAYER)]
    ctx.mark_non_differentiable(*[layer.tiles for layer in per_layer])
    ctx.set_materialize_grads(False)
    ctx.settings = settings
    # Spikes are kept as bits; their dense form is needed only where it was something else, and
    # always in a trace, which cannot know.
    ctx.features = spikes.shape[2]
    if type(counts) is Tensor and _are_spikes(counts):
        spikes = nothing_or(None)
    ctx.save_for_backward(
        spikes,
        counts,
        *[words, *[layer.words for layer in per_layer[:-1]]],
        *[layer.tiles for layer in per_layer],
        *[layer.kept for layer in per_layer],
        *weights,
        *biases,
        *betas,
        *thresholds,
        *initials,
    )


def _backward(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    """Return a gradient, or None, for each argument of `run_network`."""
    resets, slopes, scales, record, *_ = ctx.settings
    count = len(resets)
    spikes, counts, *saved = ctx.saved_tensors
    tensors = [saved[i * count : (i + 1) * count] for i in range(8)]
    needs_spikes, *needs = ctx.needs_input_grad[:TENSORS]
    wanted = [
        flag
        for index, needed in enumerate(zip(*needs, strict=True))
        for flag in wanted_of(needed, signal=index > 0 or needs_spikes)
    ]
    loss = [nothing_or(gradients[PER_LAYER * i + j]) for i in range(count) for j in range(3)]
    settings = (resets, slopes, scales, record, wanted)
    found = leaky_layers_backward(loss, spikes, ctx.features, counts, *tensors, *settings)
    betas, thresholds = tensors[5:7]
    per_layer = []
    for i, needed in enumerate(zip(*needs, strict=True)):
        weight, sums, initial = found[3 * i + 1 : 3 * i + 4]
        got = Gradients(weight, sums, initial, None)
        per_layer.append(gradients_of(got, betas[i], thresholds[i], needed))
    return (
        found[0] if needs_spikes else None,
        *map(list, zip(*per_layer, strict=True)),
        [None] * count,
        *[None] * len(ctx.settings),
    )


leaky_layers.register_autograd(_backward, setup_context=_setup_context)


def call(
    spikes: Tensor, stack: Sequence[Layer], masks: Sequence[Tensor | None], asked: Asked
) -> tuple[list[Shown], Tensor]:
    """Run layers as an operator; return what they show, and their spikes, ``[L, B]``."""
    *tensors, resets, slopes, _, scales = zip(*stack, strict=True)
    lists = [list(map(nothing_or, kind)) for kind in (*tensors, masks)]
    numbers = [float(number) for slope in slopes for number in slope]
    settings = (list(resets), numbers, list(scales), *asked)
    *fields, counts, _ = leaky_layers(spikes, *lists, *settings)
    everything = []
    for index, record in enumerate(asked.record):
        fired, membrane, final, *_ = fields[PER_LAYER * index : PER_LAYER * (index + 1)]
        everything.append(
            Shown(
                fired if record else None,
                membrane if record else None,
                final if asked.final else None,
            )
        )
    return everything, counts[1:]


def _stack_of(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    betas: Sequence[Tensor],
    thresholds: Sequence[Tensor],
    initials: Sequence[Tensor],
    resets: Sequence[int],
    slopes: Sequence[float],
    scales: Sequence[float],
) -> list[Layer]:
    """Put layers together of the lists that `run_network` takes."""
    check_codes(resets, slopes)
    return [
        Layer(
            weight if weight.dim() == 2 else None,
            _some(bias),
            beta,
            threshold,
            _some(initial),
            reset,
            (int(slopes[3 * i]), slopes[3 * i + 1], slopes[3 * i + 2]),
            scale=scale,
        )
        for i, (weight, bias, beta, threshold, initial, reset, scale) in enumerate(
            zip(weights, biases, betas, thresholds, initials, resets, scales, strict=True)
        )
    ]


def _received(
    stack: Sequence[Layer], spikes: Tensor, features: int, counts: Tensor, words: Sequence[Tensor]
) -> list[Signal]:
    """Return what each layer received; the spikes are counted anew, as lists are made by it."""
    if _are_spikes(counts):
        signals = [receive_words(features, words[0], events.count(words[0]))]
    else:
        signals = [receive_dense(spikes, stack[0].beta.dtype)]
    for layer, fired in zip(stack[:-1], words[1:], strict=True):
        size = layers.layer_size(signals[-1], layer)
        signals.append(layers.pass_on(fired, events.count(fired), layer, size))
    return signals


def _are_spikes(counts: Tensor) -> bool:
    """Return whether the input was spikes, by the counts that `run_network` returned."""
    # Of an input that is no spikes, all samples have -1: one of them tells.
    return not counts.shape[1] or int(counts[0, 0]) >= 0


def nothing_or(tensor: Tensor | None) -> Tensor:
    """Return a tensor, or one of no elements that stands for none."""
    return torch.empty(0, device="cpu") if tensor is None else tensor


def _some(tensor: Tensor) -> Tensor | None:
    return tensor if tensor.dim() > 1 or tensor.numel() else None

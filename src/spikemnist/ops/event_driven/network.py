"""A stack of layers as two functions of tensors, one forward and one backward.

Lists have one entry for each layer; a tensor of no elements stands for one that is not there. So
the two can be operators of torch's: see `operators`.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - torch reads the annotations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikemnist.ops.event_driven import events, layers
from spikemnist.ops.event_driven.layers import Above, Layer, Prepared, Wanted
from spikemnist.ops.event_driven.signals import (
    Signal,
    receive,
    receive_dense,
    receive_words,
)
from spikemnist.ops.event_driven.tiles import tiles_of, untile

PER_LAYER = 6
"""How many tensors come out for each layer: the fields of `Output`."""


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
    record
        Whether a layer's spikes and membranes are returned.
    final
        Whether the membranes after the last timestep are.
    keep
        Whether a backward pass may follow.

    Returns
    -------
    list of torch.Tensor
        The fields of `Output` for each layer; the number of spikes of the input and of each layer
        for each sample, int64 ``[L + 1, B]``, -1 for an input that is not spikes; and the words
        of the input.
    """
    stack = stack_of(weights, biases, betas, thresholds, initials, resets, slopes, scales)
    return run_and_keep(spikes, stack, masks, record, final=final, keep=keep)[0]


def run_and_keep(
    spikes: Tensor,
    stack: Sequence[Layer],
    masks: Sequence[Tensor],
    record: Sequence[bool],
    *,
    final: bool,
    keep: bool,
) -> tuple[list[Tensor], list[Prepared]]:
    """Do what `run_network` does, and return its preparations, which no operator could."""
    steps, batch, _ = spikes.shape
    # Currents are not spikes: nobody need look.
    take = receive_dense if stack[0].weight is None else receive
    signal = take(spikes, stack[0].beta.dtype)
    counts, outputs = [_counts(signal, batch)], list[Tensor]()
    words = signal.words
    if words is None:
        shape = (batch, steps, tiles_of(signal.features))
        words = torch.zeros(shape, dtype=torch.int64, device="cpu")
    prepared = []
    for layer, mask, recorded in zip(stack, masks, record, strict=True):
        size = layers.layer_size(signal, layer)
        did = layers.forward(signal, layer, steps, batch, keep=keep, record=recorded, final=final)
        kept = _pack_mask(mask) if mask.numel() else None
        membrane = did.membrane if recorded else None
        signal = layers.pass_on(did.words, did.counts, layer._replace(kept=kept), size)
        counts.append(torch.from_numpy(did.counts))
        prepared.append(did.prepared)
        outputs += Output(
            nothing_or(events.unpack(did.words, size, layer.beta.dtype) if recorded else None),
            nothing_or(None if membrane is None else untile(membrane, size)),
            nothing_or(did.final),
            did.words,
            nothing_or(did.membrane if keep else None),
            nothing_or(kept),
        )
    return [*outputs, torch.stack(counts), words], prepared


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
        Whether the gradient of the input is, and for each layer those of the weight, of beta or
        threshold, and of the initial membrane.

    Returns
    -------
    list of torch.Tensor
        The gradient of the input ``[T, B, F]``; and for each layer those of the weight
        ``[N, F]``, of bias, beta and threshold for each neuron, ``[1 or 3, N]``, and of the
        initial membrane ``[B, N]``.
    """
    lists = (weights, biases, betas, thresholds, initials, resets, slopes, scales)
    stack, signals = received(spikes, features, counts, words, kept, *lists)
    return differentiate_layers(stack, signals, tiles, [None] * len(stack), loss, record, wanted)


def received(
    spikes: Tensor,
    features: int,
    counts: Tensor,
    words: Sequence[Tensor],
    kept: Sequence[Tensor],
    *lists: Any,
) -> tuple[list[Layer], list[Signal]]:
    """Return the layers, and what each of them received, from what `run_network` took and gave."""
    stack = stack_of(*lists)
    stack = [layer._replace(kept=_some(bits)) for layer, bits in zip(stack, kept, strict=True)]
    return stack, _signals(stack, spikes, features, counts, words)


def differentiate_layers(
    stack: Sequence[Layer],
    signals: Sequence[Signal],
    tiles: Sequence[Tensor],
    prepared: Sequence[Prepared | None],
    loss: Sequence[Tensor],
    record: Sequence[bool],
    wanted: Sequence[bool],
) -> list[Tensor]:
    """Do what `differentiate_network` does, with preparations of the forward pass at hand."""
    gradients: list[Tensor] = []
    above = None
    for index in reversed(range(len(stack))):
        weight, parameters, initial = wanted[3 * index + 1 : 3 * index + 4]
        asked = Wanted(weight, parameters, initial, signal=index > 0 or wanted[0])
        got = layers.backward(
            signals[index],
            stack[index],
            tiles[index],
            [_some(gradient) for gradient in loss[3 * index : 3 * index + 3]],
            above,
            asked,
            recorded=record[index],
            prepared=prepared[index],
        )
        gradients = [nothing_or(got.weight), got.sums, nothing_or(got.initial), *gradients]
        above = None
        if got.adjoint is not None:
            above = Above(got.adjoint, stack[index].weight, got.profile)
    return [_input_gradient(above) if wanted[0] else nothing_or(None), *gradients]


def stack_of(
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


def _signals(
    stack: Sequence[Layer], spikes: Tensor, features: int, counts: Tensor, words: Sequence[Tensor]
) -> list[Signal]:
    """Return what each layer received."""
    of_input, *of_layers = counts.numpy()
    if are_spikes(counts):
        signals = [receive_words(features, words[0], of_input)]
    else:
        signals = [receive_dense(spikes, stack[0].beta.dtype)]
    for layer, fired, number in zip(stack[:-1], words[1:], of_layers[:-1], strict=True):
        size = layers.layer_size(signals[-1], layer)
        signals.append(layers.pass_on(fired, number, layer, size))
    return signals


def are_spikes(counts: Tensor) -> bool:
    """Return whether the input was spikes, by the counts that `run_network` returned."""
    # Of an input that is no spikes, all samples have -1: one of them tells.
    return not counts.shape[1] or int(counts[0, 0]) >= 0


def _counts(signal: Signal, batch: int) -> Tensor:
    if signal.counts is None:
        return torch.full((batch,), -1, device="cpu")
    return torch.from_numpy(signal.counts)


def _pack_mask(mask: Tensor) -> Tensor:
    packed = events.pack(mask)
    assert packed is not None
    return packed[0]


def _input_gradient(above: Above | None) -> Tensor:
    assert above is not None
    gradient = above.adjoint if above.weight is None else above.adjoint @ above.weight
    if above.profile is None:
        return gradient
    return torch.from_numpy(above.profile)[:, None, None] * gradient


def nothing_or(tensor: Tensor | None) -> Tensor:
    """Return a tensor, or one of no elements that stands for none."""
    return torch.empty(0, device="cpu") if tensor is None else tensor


def _some(tensor: Tensor) -> Tensor | None:
    return tensor if tensor.dim() > 1 or tensor.numel() else None

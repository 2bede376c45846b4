"""A stack of layers, forward and backward: each runs on the spikes of the one before.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features, ``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from spikemnist.engine import gradients, layers
from spikemnist.engine.gradients import Above
from spikemnist.engine.signals import receive, receive_dense
from spikemnist.kernels import events
from spikemnist.kernels.tiles import untile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from spikemnist.engine.gradients import Gradients, Wanted
    from spikemnist.engine.layers import Activity, Layer, Prepared
    from spikemnist.engine.signals import Signal


class Asked(NamedTuple):
    """What is asked of a stack.

    Attributes
    ----------
    record
        For each layer whether its spikes and membranes are returned.
    final
        Whether the membranes after the last timestep are.
    keep
        Whether a backward pass may follow.
    """

    record: Sequence[bool]
    final: bool
    keep: bool


class Ran(NamedTuple):
    """What the layers did.

    Attributes
    ----------
    stack
        The layers, with the bits of the spikes that dropout let through.
    received, did
        What each of them was given, and what it did.
    """

    stack: list[Layer]
    received: list[Signal]
    did: list[Activity]


class Shown(NamedTuple):
    """What a layer shows, as it was asked to: ``[T, B, N]`` twice, and ``[B, N]``."""

    spikes: Tensor | None
    membrane: Tensor | None
    final: Tensor | None


def run(
    spikes: Tensor, stack: Sequence[Layer], masks: Sequence[Tensor | None], asked: Asked
) -> Ran:
    """Run layers of leaky neurons.

    Parameters
    ----------
    spikes
        ``[T, B, F]``.
    stack
        The layers.
    masks
        ``[T, B, N]``, one where dropout lets a spike through to the next layer.
    asked
        What is asked of them.
    """
    steps, batch, _ = spikes.shape
    # Currents are not spikes: nobody need look.
    take = receive_dense if stack[0].weight is None else receive
    signal = take(spikes, stack[0].beta.dtype)
    ran = Ran([], [], [])
    for layer, mask, record in zip(stack, masks, asked.record, strict=True):
        did = layers.forward(
            signal, layer, steps, batch, keep=asked.keep, record=record, final=asked.final
        )
        if mask is not None:
            layer = layer._replace(kept=_pack_mask(mask))
        ran.stack.append(layer)
        ran.received.append(signal)
        ran.did.append(did)
        signal = layers.pass_on(did.words, did.counts, layer, layers.layer_size(signal, layer))
    return ran


def shown(ran: Ran, asked: Asked) -> list[Shown]:
    """Return what each layer is asked to show."""
    everything = []
    for layer, signal, did, record in zip(*ran, asked.record, strict=True):
        size, spikes, membrane = layers.layer_size(signal, layer), None, None
        if record:
            assert did.membrane is not None
            spikes = events.unpack(did.words, size, layer.beta.dtype)
            membrane = untile(did.membrane, size)
        everything.append(Shown(spikes, membrane, did.final))
    return everything


def spike_counts(ran: Ran) -> Tensor:
    """Return how many spikes each layer had for each sample, int64 ``[L, B]``."""
    return torch.from_numpy(np.stack([did.counts for did in ran.did]))


def differentiate(
    stack: Sequence[Layer],
    received: Sequence[Signal],
    tiles: Sequence[Tensor],
    prepared: Sequence[Prepared | None],
    loss: Sequence[Sequence[Tensor | None]],
    record: Sequence[bool],
    wanted: Sequence[Wanted],
) -> tuple[Tensor | None, list[Gradients]]:
    """Differentiate what `run` did.

    Parameters
    ----------
    stack, received
        As in `Ran`.
    tiles, prepared
        The membranes of each layer, and its preparations, as far as they are at hand.
    loss
        For each layer the gradients of what it has `Shown`.
    record
        As in `Asked`.
    wanted
        For each layer the gradients that are; ``signal`` of the first one is the input's.

    Returns
    -------
    of_input, of_layers
        ``[T, B, F]`` or None; and the gradients of each layer.
    """
    of_layers: list[Gradients] = []
    above = None
    for index in reversed(range(len(stack))):
        got = gradients.backward(
            received[index],
            stack[index],
            tiles[index],
            loss[index],
            above,
            wanted[index],
            recorded=record[index],
            prepared=prepared[index],
        )
        of_layers.insert(0, got)
        above = None
        if got.adjoint is not None:
            above = Above(got.adjoint, stack[index].weight, got.profile)
    return None if not wanted[0].signal else _input_gradient(above), of_layers


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

"""Choose and call the backward kernels of one layer of leaky neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features of its input.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikemnist._tensors import Array
from spikemnist.engine import separable
from spikemnist.engine.backward import Incoming, Outgoing, run_backward
from spikemnist.engine.bounds import NUMPY
from spikemnist.engine.forward import Neurons
from spikemnist.engine.layer_run import LayerRun, array_or_absent, product, scaled
from spikemnist.engine.membranes import RESETS, ZERO
from spikemnist.engine.signal import Signal
from spikemnist.engine.slopes import slope_of
from spikemnist.kernels import memory, spike_lists
from spikemnist.kernels.blocks import blocks_of
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import parallel
from spikemnist.ops.dynamics import is_constant
from spikemnist.ops.layer import LayerParams

TILE = 16
"""Largest number of blocks that are differentiated together in a layer without weights."""


class Needs(NamedTuple):
    """Flags for the gradients that are needed: of a layer's tensors, and of its input."""

    weight: bool
    bias: bool
    beta: bool
    threshold: bool
    initial: bool
    input: bool


class FromAbove(NamedTuple):
    """Gradient that a layer receives from the layer above.

    It is ``adjoint`` ``[T, B, N]``. With a ``profile`` ``[T]``, the adjoint has one timestep, to be
    multiplied by the profile. Dropout has removed the spikes that are not in ``mask``, and
    multiplied the others by ``scale``.
    """

    adjoint: Tensor
    profile: Array | None
    mask: Array | None
    scale: float


class LayerGradients(NamedTuple):
    """Gradients of a layer; ``sums`` is ``[1 or 3, N]``: bias, beta, threshold.

    ``below`` is what the layer below receives, None where the input needs no gradient.
    """

    weight: Tensor | None
    sums: Tensor
    initial: Tensor | None
    below: FromAbove | None


def backward(
    layer: LayerParams,
    run: LayerRun,
    loss: Sequence[Tensor | None],
    above: FromAbove | None,
    needs: Needs,
) -> LayerGradients:
    """Differentiate one layer.

    ``loss`` holds the gradients with respect to its spikes and membranes, ``[T, B, N]``, and to its
    final membranes, ``[B, N]``.
    """
    signal, (steps, batch) = run.signal, run.shape
    if above is None and _is_separable(signal, layer, loss, needs):
        return _backward_separable(signal, layer, loss, needs)
    neurons = run.neurons
    sparse = needs.weight and signal.is_sparse(steps)
    dense = needs.weight and not sparse and layer.weight is not None
    outgoing = _outgoing(run, neurons, needs, sparse=sparse, dense=dense)
    slices, _, blocks, _ = outgoing.sums.shape
    work = batch * steps * blocks * 20 + signal.total * blocks
    incoming = _incoming(layer, above, loss)
    arguments = neurons, run.membrane, run.events, run.current, incoming, outgoing
    tile = 1
    if layer.weight is None:  # several tiles for each thread, so that all end at the same time
        tile = max(1, min(TILE, blocks // (4 * torch.get_num_threads())))
    parallel(run_backward, -(-blocks // tile) * slices, tile, *arguments, work=work)
    weight = _dense_weight(signal, outgoing) if dense else None
    if outgoing.weight is not None:
        # One after the other: the order of a sum over an axis is torch's own matter.
        weight = functools.reduce(torch.add, map(torch.from_numpy, outgoing.weight))
    if weight is not None and signal.scale != 1:
        weight *= signal.scale
    sums = np.add.reduce(outgoing.sums).reshape(-1, blocks * WIDTH)[:, : neurons.size]
    below = _to_below(outgoing.adjoint, layer, None, signal) if needs.input else None
    return LayerGradients(weight, torch.from_numpy(sums), torch.from_numpy(outgoing.initial), below)


def _outgoing(
    run: LayerRun, neurons: Neurons, needs: Needs, *, sparse: bool, dense: bool
) -> Outgoing:
    """Return memory for the gradients; the weights' are summed spike by spike if ``sparse``."""
    signal, (steps, batch) = run.signal, run.shape
    size, dtype = neurons.size, neurons.beta.dtype
    blocks = blocks_of(size)
    # With few blocks, the batch is cut into slices, so that every thread has work.
    slices = max(1, min(8 // blocks, batch))
    if not sparse:
        events = spike_lists.no_patterns(batch, steps)
    else:
        # Group samples only when the batch is not sliced: the boundaries of slices must be the same
        # with and without a weight gradient, and must not fall inside a group.
        assert signal.words is not None
        assert signal.counts is not None
        events = spike_lists.by_neuron(signal.words, signal.counts, grouped=slices == 1)
    constant = signal.dense is not None and len(signal.dense) < steps and not needs.input
    rows, kinds = 1 if constant else steps, 3 if needs.beta or needs.threshold else 1
    return Outgoing(
        events,
        memory.empty((slices, size, signal.features), dtype) if sparse else None,
        memory.empty((slices, kinds, blocks, WIDTH), dtype),
        memory.empty((rows, batch, size), dtype)
        if needs.input or dense
        else memory.absent(3, dtype),
        memory.empty((batch, size), dtype) if needs.initial else memory.absent(2, dtype),
    )


def _is_separable(
    signal: Signal, layer: LayerParams, loss: Sequence[Tensor | None], needs: Needs
) -> bool:
    """Return whether the adjoint does not depend on the neurons' activity: see `separable`."""
    spikes, membrane, final = loss
    return (
        spikes is None
        and final is None
        and membrane is not None
        and is_constant(membrane)
        and layer.beta.numel() == 1
        and RESETS[layer.reset_mechanism] != ZERO
        and signal.words is not None
        and not (needs.beta or needs.threshold)
        and not needs.initial
    )


def _backward_separable(
    signal: Signal, layer: LayerParams, loss: Sequence[Tensor | None], needs: Needs
) -> LayerGradients:
    gradient, weight = loss[1], None
    assert gradient is not None
    assert signal.words is not None
    beta = min(max(layer.beta.item(), 0.0), 1.0)
    adjoint = separable.separate(gradient.to(layer.beta.dtype), beta)
    if needs.weight:
        weights = memory.empty((gradient.shape[2], signal.features), adjoint.amplitude.dtype)
        separable.weigh_spikes(adjoint, signal.words, weights)
        weight = scaled(torch.from_numpy(weights), signal.scale)
    sums = torch.from_numpy(separable.sum_over_time(adjoint)[np.newaxis])
    below = None
    if needs.input:
        below = _to_below(adjoint.amplitude[np.newaxis], layer, adjoint.profile, signal)
    return LayerGradients(weight, sums, None, below)


def _to_below(
    adjoint: Array, layer: LayerParams, profile: Array | None, signal: Signal
) -> FromAbove:
    """Return the gradient for the layer below: the adjoint through the weights of the layer."""
    gradient = torch.from_numpy(adjoint)
    if layer.weight is not None:
        gradient = product(gradient, layer.weight)
    return FromAbove(gradient, profile, signal.mask, signal.scale)


def _incoming(
    layer: LayerParams,
    above: FromAbove | None,
    loss: Sequence[Tensor | None],
) -> Incoming:
    """Return the gradients that a layer receives, as the kernel takes them."""
    number, (kind, first, second) = NUMPY[layer.beta.dtype], slope_of(layer.spike_grad)
    adjoint, profile, mask, scale = above or (None, None, None, 1)
    spikes, membrane, final = (
        array_or_absent(None if part is None else part.to(layer.beta.dtype), axes, number)
        for part, axes in zip(loss, (3, 3, 2), strict=True)
    )
    return Incoming(
        array_or_absent(adjoint, 3, number),
        memory.absent(1, number) if profile is None else profile,
        memory.absent(3, np.uint64) if mask is None else mask,
        number(scale),
        spikes,
        membrane,
        final,
        (kind, number(first), number(second)),
    )


def _dense_weight(signal: Signal, outgoing: Outgoing) -> Tensor:
    """Return the gradient of the weights as a matrix product."""
    adjoint = torch.from_numpy(outgoing.adjoint)
    dense = signal.to_dense(outgoing.sums.dtype).detach()
    if len(dense) < len(adjoint):
        adjoint = adjoint.sum(0, keepdim=True)
    return product(adjoint.flatten(0, 1).T, dense.flatten(0, 1))

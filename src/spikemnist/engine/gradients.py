"""The gradient of one layer of leaky neurons: which kernel gets what.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features of its input,
``C`` neurons of the layer above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spikemnist.engine import separable
from spikemnist.engine.backward import Incoming, Outgoing, Past, Slope, run_backward
from spikemnist.engine.layers import (
    DIRECT_UP_TO,
    array_of,
    clamped,
    layer_size,
    nothing,
    prepare,
    product,
    scaled,
)
from spikemnist.engine.membranes import ZERO
from spikemnist.engine.signals import densify, is_rerun, is_sparse
from spikemnist.engine.weight_gradient import Events, sum_slices
from spikemnist.kernels import events, memory
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.threads import parallel
from spikemnist.kernels.tiles import tile_weights
from spikemnist.ops.dynamics import is_constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.engine.forward import Drive
    from spikemnist.engine.layers import Layer, Prepared
    from spikemnist.engine.signals import Signal

    Array = NDArray[Any]

NARROW = 64
"""Neurons up to which a layer's adjoint is weighed tile by tile in the backward kernel below it."""


class Wanted(NamedTuple):
    """Which gradients of a layer are asked for."""

    weight: bool
    parameters: bool
    initial: bool
    signal: bool


class Above(NamedTuple):
    """The gradient that a layer gets from the one above it.

    ``adjoint`` ``[T, B, C]`` of the layer above and its ``weight`` ``[C, N]``, to be multiplied;
    or the product itself, ``[T, B, N]``, and None. Where a ``profile`` ``[T]`` is given, the
    adjoint has one timestep, which it multiplies.
    """

    adjoint: Tensor
    weight: Tensor | None
    profile: Array | None = None


class Gradients(NamedTuple):
    """The gradients of a layer; ``sums`` is ``[1 or 3, N]``: bias, beta, threshold.

    ``adjoint`` and ``profile`` are what the layer below gets: see `Above`.
    """

    weight: Tensor | None
    sums: Tensor
    initial: Tensor | None
    adjoint: Tensor | None
    profile: Array | None = None


def backward(
    signal: Signal,
    layer: Layer,
    membrane: Tensor,
    loss: Sequence[Tensor | None],
    above: Above | None,
    wanted: Wanted,
    *,
    recorded: bool,
    prepared: Prepared | None,
) -> Gradients:
    """Differentiate one layer.

    ``loss`` holds the gradients with respect to its spikes and membranes, ``[T, B, N]``, and its
    last membranes, ``[B, N]``. ``prepared`` is what the forward pass has left, if it is at hand.
    """
    if above is None and _is_separable(signal, layer, loss, wanted):
        return _backward_separable(signal, layer, loss, wanted)
    batch, tiles, steps, _ = membrane.shape
    size, dtype = layer_size(signal, layer), layer.beta.dtype
    again = not recorded and is_rerun(signal, steps)
    sparse = wanted.weight and is_sparse(signal, steps)
    dense_weight = wanted.weight and not sparse and layer.weight is not None
    constant = signal.dense is not None and len(signal.dense) < steps
    adjoint = None
    if wanted.signal or dense_weight:
        adjoint = memory.empty((1 if constant and not wanted.signal else steps, batch, size), dtype)
    # Few tiles are worked at for several slices of the batch, so that no thread goes without.
    slices = max(1, min(8 // tiles, batch))
    weight = memory.empty((size, signal.features), dtype) if sparse else None
    features = signal.features if sparse and slices > 1 else 0
    parts = memory.empty((slices, tiles, features, WIDTH), dtype).numpy()
    sums = memory.empty((slices, 3 if wanted.parameters else 1, tiles, WIDTH), dtype)
    initial = memory.empty((batch, size), dtype) if wanted.initial else None
    number = parts.dtype.type
    neurons, drive = prepared or prepare(signal, layer, steps, size, run=again)
    listed = _events(signal, drive, batch, tiles, slices, sparse=sparse)
    parallel(
        run_backward,
        tiles * slices,
        neurons,
        Slope(layer.slope[0], number(layer.slope[1]), number(layer.slope[2])),
        Past(membrane.numpy(), drive, again),
        _incoming(layer, loss, above, dtype),
        listed,
        Outgoing(
            array_of(weight if slices == 1 else None, 2, dtype),
            parts,
            sums.numpy(),
            array_of(initial, 2, dtype),
            array_of(adjoint, 3, dtype),
        ),
        work=batch * steps * tiles * 20 + signal.total * tiles,
    )
    if weight is not None and slices > 1:
        parallel(sum_slices, tiles, parts, weight.numpy(), work=parts.size // 16)
    if dense_weight:
        weight = _dense_weight(signal, adjoint)
    if weight is not None and signal.scale != 1:
        weight *= signal.scale
    total = sums[0] if slices == 1 else sums.sum(0)
    return Gradients(weight, total.flatten(1)[:, :size].contiguous(), initial, adjoint)


def _is_separable(
    signal: Signal, layer: Layer, loss: Sequence[Tensor | None], wanted: Wanted
) -> bool:
    """Return whether the adjoint does not depend on what the neurons did: see `separable`."""
    spikes, membrane, final = loss
    return (
        spikes is None
        and final is None
        and membrane is not None
        and is_constant(membrane)
        and layer.beta.numel() == 1
        and layer.reset != ZERO
        and signal.words is not None
        and not wanted.parameters
        and not wanted.initial
    )


def _backward_separable(
    signal: Signal, layer: Layer, loss: Sequence[Tensor | None], wanted: Wanted
) -> Gradients:
    gradient, weight = loss[1], None
    assert gradient is not None
    assert signal.words is not None
    beta = float(clamped(layer.beta.reshape(())))
    adjoint = separable.separate(gradient.to(layer.beta.dtype), beta)
    if wanted.weight:
        weight = memory.empty((gradient.shape[2], signal.features), layer.beta.dtype)
        separable.weigh_spikes(adjoint, signal.words.numpy().view(np.uint64), weight.numpy())
        weight = scaled(weight, signal.scale)
    sums = torch.from_numpy(separable.sum_over_time(adjoint)[np.newaxis])
    amplitude = torch.from_numpy(adjoint.amplitude[np.newaxis]) if wanted.signal else None
    return Gradients(weight, sums, None, amplitude, adjoint.profile)


def _incoming(
    layer: Layer, loss: Sequence[Tensor | None], above: Above | None, dtype: torch.dtype
) -> Incoming:
    spikes, membrane, final = loss
    adjoint, weights = None, np.empty((1, 0, WIDTH), nothing(1, dtype).dtype)
    profile = nothing(1, dtype)
    if above is not None:
        adjoint = above.adjoint
        profile = profile if above.profile is None else above.profile
        if above.weight is not None and len(above.weight) <= NARROW:
            weights = tile_weights(above.weight.T)
        elif above.weight is not None:
            adjoint = product(adjoint, above.weight)
    kept = np.empty((0, 0, 0), np.uint64)
    if layer.kept is not None:
        kept = layer.kept.numpy().view(np.uint64)
    return Incoming(
        array_of(spikes, 3, dtype),
        array_of(membrane, 3, dtype),
        array_of(final, 2, dtype),
        array_of(adjoint, 3, dtype),
        weights,
        profile,
        kept,
        weights.dtype.type(layer.scale),
    )


def _events(
    signal: Signal, drive: Drive, batch: int, tiles: int, slices: int, *, sparse: bool
) -> Events:
    nothing, none = np.empty(0, np.uint16), np.empty(0, np.int64)
    by_timestep = events.no_events()
    by_neuron = events.ByNeuron(np.zeros(batch + 1, np.int64), nothing, none, nothing, 1, 1)
    direct = tiles <= DIRECT_UP_TO
    if sparse:
        assert signal.words is not None
        assert signal.counts is not None
        if direct and drive.starts.shape[1] > 1:
            by_timestep = events.ByTimestep(drive.neurons, drive.starts)
        elif direct:
            by_timestep = events.by_timestep(signal.words, signal.counts)
        else:
            # A slice ends where it would without a weight gradient, in no middle of a group.
            by_neuron = events.by_neuron(signal.words, signal.counts, grouped=slices == 1)
    return Events(by_timestep, by_neuron, direct)


def _dense_weight(signal: Signal, adjoint: Tensor | None) -> Tensor:
    assert adjoint is not None
    dense = densify(signal, adjoint.dtype).detach()
    if len(dense) < len(adjoint):
        adjoint = adjoint.sum(0, keepdim=True)
    return torch.mm(adjoint.flatten(0, 1).T, dense.flatten(0, 1))

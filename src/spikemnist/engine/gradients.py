"""Choose and call the backward kernels of one layer of leaky neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features of its input,
``C`` neurons of the layer above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spikemnist.engine import separable
from spikemnist.engine.backward import Above, Loss, Mask, Outgoing, Passed, Slope, run_backward
from spikemnist.engine.layer_run import (
    array_of,
    clamped,
    initial_of,
    layer_size,
    nothing,
    product,
    scaled,
)
from spikemnist.engine.membranes import RESETS, ZERO
from spikemnist.engine.slopes import slope_of
from spikemnist.engine.weight_gradient import sum_slices
from spikemnist.kernels import memory, spike_lists
from spikemnist.kernels.blocks import blocks_of, weight_blocks
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import parallel
from spikemnist.ops.dynamics import is_constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.engine.layer_run import LayerRun
    from spikemnist.engine.signal import Signal
    from spikemnist.ops.layer import LayerParams

    Array = NDArray[Any]

NARROW = 64
"""Neurons of a layer up to which its adjoint is multiplied by its weights block by block, in the
backward kernel of the layer below."""


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

    It is the product of the ``adjoint`` ``[T, B, C]`` of the layer above and its ``weight``
    ``[C, N]``; or ``adjoint`` is the product, ``[T, B, N]``, and ``weight`` is None. With a
    ``profile`` ``[T]``, the adjoint has one timestep, to be multiplied by the profile. Dropout has
    removed the spikes that are not in ``mask``, and multiplied the others by ``scale``.
    """

    adjoint: Tensor
    weight: Tensor | None
    profile: Array | None
    mask: Tensor | None
    scale: float


class Gradients(NamedTuple):
    """Gradients of a layer; ``sums`` is ``[1 or 3, N]``: bias, beta, threshold.

    ``adjoint`` and ``profile`` are for the layer below: see `FromAbove`.
    """

    weight: Tensor | None
    sums: Tensor
    initial: Tensor | None
    adjoint: Tensor | None
    profile: Array | None = None


def backward(
    layer: LayerParams,
    run: LayerRun,
    loss: Sequence[Tensor | None],
    above: FromAbove | None,
    needs: Needs,
) -> Gradients:
    """Differentiate one layer.

    ``loss`` holds the gradients with respect to its spikes and membranes, ``[T, B, N]``, and to its
    final membranes, ``[B, N]``.
    """
    signal, (steps, batch) = run.signal, run.shape
    if above is None and _is_separable(signal, layer, loss, needs):
        return _backward_separable(signal, layer, loss, needs)
    size, dtype = layer_size(signal, layer), layer.beta.dtype
    blocks = blocks_of(size)
    sparse = needs.weight and signal.is_sparse(steps)
    dense_weight = needs.weight and not sparse and layer.weight is not None
    constant = signal.dense is not None and len(signal.dense) < steps
    adjoint = None
    if needs.input or dense_weight:
        adjoint = memory.empty((1 if constant and not needs.input else steps, batch, size), dtype)
    # With few blocks, the batch is cut into slices, so that every thread has work.
    slices = max(1, min(8 // blocks, batch))
    weight = memory.empty((size, signal.features), dtype) if sparse else None
    features = signal.features if sparse and slices > 1 else 0
    parts = memory.empty((slices, blocks, features, WIDTH), dtype).numpy()
    sums = memory.empty((slices, 3 if needs.beta or needs.threshold else 1, blocks, WIDTH), dtype)
    initial = memory.empty((batch, size), dtype) if needs.initial else None
    number = parts.dtype.type
    kind, first, second = slope_of(layer.spike_grad)
    # Group samples only when the batch is not sliced: the boundaries of slices must be the same
    # with and without a weight gradient, and must not fall inside a group.
    events = spike_lists.no_patterns(batch, steps)
    if sparse:
        assert signal.words is not None
        assert signal.counts is not None
        events = spike_lists.by_neuron(signal.words, signal.counts, grouped=slices == 1)
    parallel(
        run_backward,
        blocks * slices,
        run.neurons,
        Slope(kind, number(first), number(second)),
        initial_of(layer),
        run.events,
        None if run.membrane is None else run.membrane.numpy(),
        *_from_above(above, dtype),
        None if above is None or above.mask is None else _mask(above, dtype),
        _from_loss(loss, dtype),
        events,
        Outgoing(array_of(weight if slices == 1 else None, 2, dtype), parts, sums.numpy()),
        None
        if initial is None and adjoint is None
        else Passed(array_of(initial, 2, dtype), array_of(adjoint, 3, dtype)),
        work=batch * steps * blocks * 20 + signal.total * blocks,
    )
    if weight is not None and slices > 1:
        parallel(sum_slices, blocks, parts, weight.numpy(), work=parts.size // 16)
    if dense_weight:
        weight = _dense_weight(signal, adjoint)
    if weight is not None and signal.scale != 1:
        weight *= signal.scale
    total = sums[0] if slices == 1 else sums.sum(0)
    return Gradients(weight, total.flatten(1)[:, :size].contiguous(), initial, adjoint)


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
) -> Gradients:
    gradient, weight = loss[1], None
    assert gradient is not None
    assert signal.words is not None
    beta = float(clamped(layer.beta.reshape(())))
    adjoint = separable.separate(gradient.to(layer.beta.dtype), beta)
    if needs.weight:
        weight = memory.empty((gradient.shape[2], signal.features), layer.beta.dtype)
        separable.weigh_spikes(adjoint, signal.words.numpy().view(np.uint64), weight.numpy())
        weight = scaled(weight, signal.scale)
    sums = torch.from_numpy(separable.sum_over_time(adjoint)[np.newaxis])
    amplitude = torch.from_numpy(adjoint.amplitude[np.newaxis]) if needs.input else None
    return Gradients(weight, sums, None, amplitude, adjoint.profile)


def _from_above(above: FromAbove | None, dtype: torch.dtype) -> tuple[Above | None, Above | None]:
    """Return the gradient from the layer above, and the same if it is separable; one is None."""
    if above is None:
        return None, None
    adjoint, weights = above.adjoint, np.empty((1, 0, WIDTH), nothing(1, dtype).dtype)
    if above.weight is not None and len(above.weight) <= NARROW:
        weights = weight_blocks(above.weight.T)
    elif above.weight is not None:
        adjoint = product(adjoint, above.weight)
    profile = nothing(1, dtype) if above.profile is None else above.profile
    result = Above(array_of(adjoint, 3, dtype), weights, profile)
    return (result, None) if above.profile is None else (None, result)


def _mask(above: FromAbove, dtype: torch.dtype) -> Mask:
    assert above.mask is not None
    return Mask(above.mask.numpy().view(np.uint64), nothing(1, dtype).dtype.type(above.scale))


def _from_loss(loss: Sequence[Tensor | None], dtype: torch.dtype) -> Loss | None:
    if all(gradient is None for gradient in loss):
        return None
    spikes, membrane, final = loss
    return Loss(array_of(spikes, 3, dtype), array_of(membrane, 3, dtype), array_of(final, 2, dtype))


def _dense_weight(signal: Signal, adjoint: Tensor | None) -> Tensor:
    assert adjoint is not None
    dense = signal.to_dense(adjoint.dtype).detach()
    if len(dense) < len(adjoint):
        adjoint = adjoint.sum(0, keepdim=True)
    return torch.mm(adjoint.flatten(0, 1).T, dense.flatten(0, 1))

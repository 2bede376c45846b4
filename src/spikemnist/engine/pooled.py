"""Leaky neurons behind a convolution: pooling, dynamics and spikes in one pass over its output.

A convolution's output is several times larger than what its pooling leaves. Here it is read once:
the maximum of each window goes to the neurons while it is in the first-level cache, and what is
kept of the window is one byte, its place. The backward pass writes the gradient of the output once,
with the adjoint of the neurons at these places. Channels come last in memory, as a convolution on
the CPU is fastest with: those of a pixel are next to each other.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` channels, ``H`` and ``W`` of the convolution's output,
``N`` neurons of a sample, in rows of `WIDTH`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spikemnist.engine.backward import (
    Slope,
    add_parameters,
    step_back,
    step_back_to_zero,
)
from spikemnist.engine.bounds import check_pooled, check_unchanged, forms_of
from spikemnist.engine.forward import Neurons
from spikemnist.engine.layer import array_of, clamped, nothing
from spikemnist.engine.membranes import RESETS, ZERO, step
from spikemnist.engine.slopes import slope_of, through_spikes
from spikemnist.engine.windows import pool, spread
from spikemnist.kernels import memory
from spikemnist.kernels.blocks import aligned_rows, blocks_of, parameter_blocks, parameter_values
from spikemnist.kernels.compiler import kernel, routine
from spikemnist.kernels.registers import WIDTH, at, clear
from spikemnist.kernels.scheduler import borrowed, by_team, next_unit, parallel
from spikemnist.ops.reference import through_clamp

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.ops.layer import LayerParams

    Array = NDArray[Any]


class Trace(NamedTuple):
    """What the neurons did, ``[T, B, N]``, and where the maxima were, uint8 ``[T or 1, B, N]``.

    Membranes have length 0 where nobody asks for them, and places where nothing is pooled.
    """

    spikes: Array
    membrane: Array
    places: Array


class Gradients(NamedTuple):
    """Those of spikes and membranes, ``[T, B, N]`` or of length 0; and those to be written.

    ``current`` ``[T or 1, B, H, W, C]``, ``initial`` ``[B, N]``, and ``sums`` ``[B, 0 or 2, R,
    WIDTH]`` of beta and threshold.
    """

    spikes: Array
    membrane: Array
    current: Array
    initial: Array
    sums: Array


def run(
    layer: LayerParams, current: Tensor, steps: int, *, membranes: bool
) -> tuple[Tensor, Tensor | None]:
    """Run leaky neurons on the maxima of windows of a current: see `spikemnist.engine.run`.

    Parameters
    ----------
    layer : LayerParams
        Neurons without weights; ``pool`` is the side of a window. Rows and columns that fill no
        window count for nothing.
    current : torch.Tensor
        ``[T, B, C, H, W]``, or ``[1, B, C, H, W]`` when it is the same at every timestep. It is
        copied unless the channels come last in memory.
    steps : int
        ``T``.
    membranes : bool
        Whether they are returned. A backward pass needs them in any case.

    Returns
    -------
    spikes, membrane : torch.Tensor
        ``[T, B, C, H // pool, W // pool]`` each, the channels last in memory.
    """
    size = check_pooled(current, layer, steps)
    _, _, channels, height, width = current.shape
    shape = (channels, height // size, width // size)

    def channels_last(values: Tensor | None) -> Tensor | None:
        if values is None or not values.dim() or values.shape[-1:].numel() == 1:
            return values
        return values.reshape(*values.shape[:-1], *shape).movedim(-3, -1).flatten(-3)

    tensors = (
        current.movedim(2, 4),
        channels_last(layer.beta),
        channels_last(layer.threshold),
        channels_last(layer.initial),
    )
    reset = RESETS[layer.reset_mechanism]
    learns = any(tensor is not None and tensor.requires_grad for tensor in tensors)
    if not membranes and not (learns and torch.is_grad_enabled()):
        spikes, _, _ = _run(*tensors, steps, size, reset, kept=False)
        return spikes.movedim(4, 2), None
    slope = slope_of(layer.spike_grad)
    ran = _Pooled.apply(*tensors, steps, size, reset, slope)  # type: ignore[no-untyped-call]
    spikes, membrane = (tensor.movedim(4, 2) for tensor in ran)
    return spikes, membrane


def _run(
    current: Tensor,
    beta: Tensor | None,
    threshold: Tensor | None,
    initial: Tensor | None,
    steps: int,
    size: int,
    reset: int,
    *,
    kept: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return spikes, membranes, of length 0 unless they are ``kept``, and places."""
    assert beta is not None
    assert threshold is not None
    seen, batch, height, width, channels = current.shape
    shape = (batch, height // size, width // size, channels)
    count = math.prod(shape[1:])
    neurons = _neurons(beta, threshold, count, reset)
    spikes = memory.empty((steps, *shape), current.dtype)
    membrane = memory.empty((steps, *shape) if kept else (0, *shape), current.dtype)
    places = memory.empty((seen, batch, count) if size > 1 else (0, 0, 0), torch.uint8)
    trace = Trace(_flat(spikes), _flat(membrane), places.numpy())
    start = array_of(initial, 2, current.dtype)
    work = current.numel() + 2 * steps * batch * count
    arguments = (array_of(current, 5, current.dtype), size, neurons, start, trace)
    parallel(run_pooled_forward, batch, *arguments, work=work)
    return spikes, membrane, places


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        beta: Tensor,
        threshold: Tensor,
        initial: Tensor | None,
        steps: int,
        size: int,
        reset: int,
        slope: tuple[int, float, float],
    ) -> tuple[Tensor, Tensor]:
        spikes, membrane, places = _run(
            current, beta, threshold, initial, steps, size, reset, kept=True
        )
        saved = membrane, places, beta, threshold, initial
        ctx.forms = forms_of(saved)
        ctx.save_for_backward(*saved)
        ctx.settings = (tuple(current.shape), size, reset, slope)
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_spikes: Tensor | None, of_membrane: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if of_spikes is None and of_membrane is None:
            return (None,) * 8
        membrane, places, beta, threshold, initial = saved = ctx.saved_tensors
        check_unchanged(ctx.forms, saved)
        shape, size, reset, (kind, first, second) = ctx.settings
        needs_current, needs_beta, needs_threshold, needs_initial, *_ = ctx.needs_input_grad
        batch, count = membrane.shape[1], membrane.shape[2:].numel()
        dtype, learned = membrane.dtype, needs_beta or needs_threshold
        current = memory.empty(shape if needs_current else (0,) * 5, dtype)
        of_initial = memory.empty((batch, count) if needs_initial else (0, 0), dtype)
        rows = blocks_of(count)
        sums = memory.empty((batch, 2 if learned else 0, rows, WIDTH), dtype)
        gradients = Gradients(
            nothing(3, dtype) if of_spikes is None else _flat(of_spikes.to(dtype)),
            nothing(3, dtype) if of_membrane is None else _flat(of_membrane.to(dtype)),
            current.numpy(),
            of_initial.numpy(),
            sums.numpy(),
        )
        number = gradients.sums.dtype.type
        parallel(
            run_pooled_backward,
            batch,
            size,
            _neurons(beta, threshold, count, reset),
            Slope(kind, number(first), number(second)),
            array_of(initial, 2, dtype),
            Trace(nothing(3, dtype), _flat(membrane), places.numpy()),
            gradients,
            work=current.numel() + 4 * membrane.numel(),
        )
        of_beta, of_threshold = sums.sum(0).flatten(1)[:, :count] if learned else (None, None)
        return (
            current if needs_current else None,
            through_clamp(of_beta, beta) if of_beta is not None and needs_beta else None,
            of_threshold.sum_to_size(threshold.shape)
            if of_threshold is not None and needs_threshold
            else None,
            of_initial if needs_initial else None,
            *(None,) * 4,
        )


def _flat(signal: Tensor) -> Array:
    """Return ``[T, B, ...]`` as an array ``[T, B, N]``."""
    array: Array = signal.detach().flatten(2).contiguous().numpy()
    return array


def _neurons(beta: Tensor, threshold: Tensor, count: int, reset: int) -> Neurons:
    values = [(clamped(beta), 0.0), (parameter_values(threshold), np.inf)]
    beta_blocks, threshold_blocks = parameter_blocks(values, count, beta.dtype)
    return Neurons(beta_blocks, threshold_blocks, reset)


@kernel
def run_pooled_forward(
    queue: Array,
    units: int,
    current: Array,
    size: int,
    neurons: Neurons,
    initial: Array,
    trace: Trace,
) -> None:
    """Run the neurons of one sample in each unit of work."""
    if by_team(queue):
        return
    current, neurons, initial, trace = borrowed((current, neurons, initial, trace))
    steps, _, count = trace.spikes.shape
    rows = len(neurons.beta)
    inflow, membrane = aligned_rows(rows, neurons.beta), aligned_rows(rows, neurons.beta)
    bias = aligned_rows(1, neurons.beta)  # none: the convolution has added its own
    clear(at(bias, 0))
    for row in range(rows):
        clear(at(inflow, row))
    b = next_unit(queue)
    while b < units:
        _load(membrane, initial, b, count)
        for t in range(steps):
            if t < len(current):
                pool(current[t, b], size, inflow, trace.places, t, b)
            for row in range(rows):
                now, beta, threshold = (
                    at(membrane, row),
                    at(neurons.beta, row),
                    at(neurons.threshold, row),
                )
                step(neurons.reset, now, now, at(inflow, row), at(bias, 0), beta, threshold)
            _store(trace, t, b, membrane, neurons.threshold)
        b = next_unit(queue)


@kernel
def run_pooled_backward(
    queue: Array,
    units: int,
    size: int,
    neurons: Neurons,
    slope: Slope,
    initial: Array,
    trace: Trace,
    gradients: Gradients,
) -> None:
    """Differentiate the neurons of one sample in each unit of work."""
    if by_team(queue):
        return
    neurons, slope, initial, trace, gradients = borrowed(
        (neurons, slope, initial, trace, gradients)
    )
    steps, _, count = trace.membrane.shape
    rows, seen = len(neurons.beta), len(gradients.current)
    carried, delta = aligned_rows(rows, neurons.beta), aligned_rows(rows, neurons.beta)
    through, total = aligned_rows(rows, neurons.beta), aligned_rows(rows, neurons.beta)
    now, before = aligned_rows(rows, neurons.beta), aligned_rows(rows, neurons.beta)
    on_spikes, on_membrane = len(gradients.spikes) > 0, len(gradients.membrane) > 0
    b = next_unit(queue)
    while b < units:
        for row in range(rows):
            clear(at(carried, row))
            clear(at(through, row))
            clear(at(total, row))
        _load(now, trace.membrane[steps - 1], b, count)
        gradients.sums[b] = 0
        for t in range(steps - 1, -1, -1):
            if t > 0:
                _load(before, trace.membrane[t - 1], b, count)
            else:
                _load(before, initial, b, count)
            if on_spikes:
                _load(through, gradients.spikes[t], b, count)
            if on_membrane:
                _add_to(carried, gradients.membrane[t, b])
            for row in range(rows):
                _differentiate(
                    neurons,
                    slope,
                    row,
                    on_spikes,
                    now,
                    before,
                    through,
                    carried,
                    delta,
                    total,
                    gradients.sums,
                    b,
                )
            # A constant current has one gradient, the sum over time: it is there at the end.
            if seen == steps or (t == 0 and seen == 1):
                given = delta if seen == steps else total
                spread(gradients.current[t, b], size, given, trace.places, t, b)
            now, before = before, now
        if len(gradients.initial):
            flat = carried.reshape(rows * WIDTH)
            for n in range(count):
                gradients.initial[b, n] = flat[n]
        b = next_unit(queue)


@routine
def _differentiate(
    neurons: Neurons,
    slope: Slope,
    row: int,
    on_spikes: bool,
    now: Array,
    before: Array,
    through: Array,
    carried: Array,
    delta: Array,
    total: Array,
    sums: Array,
    b: int,
) -> None:
    """Take one timestep back for a row of neurons."""
    beta, threshold = at(neurons.beta, row), at(neurons.threshold, row)
    spiked, was = at(through, row), at(before, row)
    if on_spikes:
        through_spikes(
            slope.kind, spiked, spiked, at(now, row), threshold, slope.first, slope.second
        )
    here, back, whole = at(delta, row), at(carried, row), at(total, row)
    if neurons.reset == ZERO:
        step_back_to_zero(here, whole, back, whole, back, spiked, beta, was, threshold)
    else:
        step_back(here, whole, back, whole, back, spiked, beta)
    if sums.shape[1]:
        of_beta, of_threshold = at(sums[b, 0], row), at(sums[b, 1], row)
        add_parameters(neurons.reset, here, spiked, was, threshold, of_beta, of_threshold)


@routine
def _load(rows: Array, values: Array, b: int, count: int) -> None:
    """Set rows to the numbers of a sample of ``values`` ``[B, N]``, or to zero for length 0."""
    for row in range(len(rows)):
        clear(at(rows, row))
    if len(values):
        flat = rows.reshape(rows.size)
        for n in range(count):
            flat[n] = values[b, n]


@routine
def _add_to(rows: Array, values: Array) -> None:
    flat = rows.reshape(rows.size)
    for n in range(len(values)):
        flat[n] += values[n]


@routine
def _store(trace: Trace, t: int, b: int, membrane: Array, threshold: Array) -> None:
    """Write the membranes of a sample, and which of them are above the threshold."""
    spikes = trace.spikes[t, b]
    flat, bounds = membrane.reshape(membrane.size), threshold.reshape(threshold.size)
    for n in range(len(spikes)):
        spikes[n] = flat[n] > bounds[n]
    if len(trace.membrane):
        membranes = trace.membrane[t, b]
        for n in range(len(membranes)):
            membranes[n] = flat[n]

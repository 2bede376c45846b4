r"""The backward pass of a layer of leaky neurons, fused with its weight gradient.

The adjoint is computed backwards in time,

.. math:: \delta_t = \frac{\partial L}{\partial U_t}
          + \sigma'(U_t - \theta) \frac{\partial L}{\partial S_t} + \beta k_t \delta_{t+1}

with :math:`k_t = 1 - S_t` for the reset ``"zero"`` and 1 otherwise, for one sample and one block
of neurons at a time. While its ``[T, WIDTH]`` numbers are in the first-level cache, they are added
to the weight gradient of the block: see `weight_gradient`. The batch is cut into *slices* if there
are few blocks; for *groups* of samples and *bursts* of timesteps see `spike_lists.ByNeuron`.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features, ``M`` blocks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spikemnist._tensors import Array
from spikemnist.engine.forward import (
    BETA,
    INFLOW,
    ROWS,
    START,
    THRESHOLD,
    Events,
    Neurons,
    begin,
    copy_weights,
    load_neurons,
    scan,
)
from spikemnist.engine.membranes import SUBTRACT, ZERO
from spikemnist.engine.slopes import through_spikes
from spikemnist.engine.weight_gradient import add_by_neuron, tabulate
from spikemnist.kernels.blocks import (
    add_part_of,
    aligned_rows,
    load_part,
    put_part,
    put_part_of,
    store_block,
    weight_rows,
)
from spikemnist.kernels.compiler import inlined, kernel, routine
from spikemnist.kernels.elementwise import add, elementwise, where
from spikemnist.kernels.registers import WIDTH, at, clear
from spikemnist.kernels.scheduler import borrowed, by_team, units_of
from spikemnist.kernels.spike_lists import ByNeuron

CARRIED, SEPARABLE, THROUGH, SUMS, HEIGHT = ROWS, ROWS + 1, ROWS + 2, ROWS + 3, ROWS + 6
"""Rows of scratch behind those of the forward pass: the gradient that a timestep hands to the
previous one; a separable adjoint from above, without its profile; the gradient of the spikes of a
timestep; and those of bias, beta and threshold."""


class Incoming(NamedTuple):
    """Gradients that a layer receives, `memory.absent` where there is none.

    The gradient of its spikes from the layer above is ``adjoint`` ``[T, B, N]``. A separable one
    has one timestep, to be multiplied by the ``profile`` ``[T]``: see `separable`. Dropout kept the
    spikes of the bits ``mask`` ``[B, T, M]``, and multiplied them by ``scale``. A loss gives
    gradients of ``spikes`` and ``membrane`` ``[T, B, N]``, and of the ``final`` membranes
    ``[B, N]``. The surrogate derivative ``slope`` is a code and two parameters: see
    `spikemnist.engine.slopes`.
    """

    adjoint: Array
    profile: Array
    mask: Array
    scale: Any
    spikes: Array
    membrane: Array
    final: Array
    slope: tuple[int, Any, Any]


class Outgoing(NamedTuple):
    """Gradients to compute, `memory.absent` where they are not needed.

    ``weight`` is ``[S, N, F]``, a sum over the input ``events`` for each slice of the batch, or
    None, and ``sums`` is ``[S, 1 or 3, M, WIDTH]``, for the bias alone, or for bias, beta and
    threshold. The ``adjoint`` is ``[T, B, N]``, or ``[1, B, N]`` for its sum over time, and
    ``initial``, of the membranes before the first timestep, ``[B, N]``.
    """

    events: ByNeuron
    weight: Array | None
    sums: Array
    adjoint: Array
    initial: Array


@elementwise
def _times(row: Any, factor: Any) -> Any:
    return row * factor


@elementwise
def _subtract(left: Any, right: Any) -> Any:
    return left - right


@elementwise
def _step_back(total: Any, carried: Any, through: Any, beta: Any) -> Any:
    """Return the adjoint, its sum over time, and the gradient for the previous timestep."""
    delta = carried + through
    return delta, total + delta, beta * delta


@elementwise
def _step_back_to_zero(
    total: Any, carried: Any, through: Any, beta: Any, before: Any, threshold: Any
) -> Any:
    """Compute `_step_back` for the reset to zero, which blocks the gradient after a spike."""
    delta = carried + through
    return delta, total + delta, where(before > threshold, 0, beta * delta)


@elementwise
def _beta_term(total: Any, delta: Any, before: Any) -> Any:
    return total + delta * before


@elementwise
def _beta_term_unless_fired(total: Any, delta: Any, before: Any, threshold: Any) -> Any:
    return total + delta * where(before > threshold, 0, before)


@elementwise
def _subtracted_term(total: Any, delta: Any, before: Any, threshold: Any) -> Any:
    return total - where(before > threshold, delta, 0)


@kernel
def run_backward(
    queue: Array,
    tile: int,
    neurons: Neurons,
    stored: Array | None,
    drive: Events | None,
    current: Array | None,
    incoming: Incoming,
    outgoing: Outgoing,
) -> None:
    """Differentiate ``tile`` blocks for one slice of the batch in each unit of work.

    Neighbouring blocks of a sample are adjacent in the current and the adjoints, so the processor
    loads them in advance. A layer with input spikes takes one block: its weights fill the cache.

    The membranes of the forward pass are ``stored`` ``[B, M, T, WIDTH]``, or computed again from
    the spikes ``drive`` or the ``current``; the other two are None. A kernel is compiled for each
    combination of arguments that are None. Numba drops the code behind a condition only if it tests
    an argument of its own function, and that is None: hence some of the functions below.

    The slices are the same for any number of threads, and their sums are added in a fixed order.
    """
    if by_team(queue):
        return
    neurons, incoming, outgoing = borrowed((neurons, incoming, outgoing))
    kept, spikes, inflow = borrowed((stored, drive, current))
    events, like, parts = outgoing.events, neurons.beta, len(outgoing.sums)
    steps, groups = len(events.places), len(events.groups) - 1
    membrane, words = aligned_rows(steps, like), np.empty(steps, np.uint64)
    delta = aligned_rows(-(-events.group * steps // events.burst) << events.burst, like)
    tables = aligned_rows(tile * HEIGHT, like).reshape(tile, HEIGHT, WIDTH)
    # The gradient of a block of weights stays in the second-level cache until it is complete.
    gradient = aligned_rows(_inputs(outgoing.weight), like)
    weights = weight_rows(_features(drive), like)
    for unit in units_of(queue):
        first, part = unit // parts * tile, unit % parts
        last = min(first + tile, outgoing.sums.shape[2])
        if drive is not None:
            copy_weights(weights, spikes, first)
        _begin_blocks(neurons, tables, gradient, first, last)
        for g in range(part * groups // parts, (part + 1) * groups // parts):
            for b in range(g * events.group, min((g + 1) * events.group, events.batch)):
                # A group of several samples has no tables, hence two rows for each timestep.
                row_pair = delta[2 * (b % events.group) * steps :]
                for m in range(first, last):
                    rows = tables[m - first]
                    begin(neurons.initial, rows, b, m)
                    if stored is not None:
                        membrane = kept[b, m]
                    else:
                        scan(neurons.reset, spikes, inflow, weights, rows, b, m, membrane, words)
                    _adjoint(neurons.reset, incoming, outgoing, rows, membrane, row_pair, b, m)
            _add_weights(outgoing.weight, events, g, delta, gradient)
        _end_blocks(outgoing.weight, outgoing.sums, tables, gradient, part, first, last)


@inlined
def _inputs(weight: Array | None) -> int:
    return 0 if weight is None else weight.shape[2]


@inlined
def _features(drive: Events | None) -> int:
    return 0 if drive is None else drive.weights.shape[1]


@inlined
def _begin_blocks(neurons: Neurons, tables: Array, gradient: Array, first: int, last: int) -> None:
    """Load the parameters of blocks; set their sums to zero."""
    for row in range(len(gradient)):
        clear(at(gradient, row))
    for m in range(first, last):
        rows = tables[m - first]
        load_neurons(rows, neurons, m)
        for row in range(SUMS, SUMS + 3):
            clear(at(rows, row))


@inlined
def _add_weights(
    weight: Array | None, events: ByNeuron, g: int, delta: Array, gradient: Array
) -> None:
    """Add the products of the adjoints of a group with its input spikes."""
    if weight is not None:
        samples = min(events.group, events.batch - g * events.group)
        tabulate(delta, samples * len(events.places), events.burst)
        add_by_neuron(events, g, delta, gradient)


@inlined
def _end_blocks(
    weight: Array | None,
    sums: Array,
    tables: Array,
    gradient: Array,
    part: int,
    first: int,
    last: int,
) -> None:
    """Write the sums of blocks."""
    if weight is not None:
        store_block(weight[part], first, gradient)
    for m in range(first, last):
        for row in range(sums.shape[1]):
            for j in range(WIDTH):
                sums[part, row, m, j] = tables[m - first, SUMS + row, j]


@inlined
def _adjoint(
    reset: int,
    incoming: Incoming,
    outgoing: Outgoing,
    rows: Array,
    membrane: Array,
    delta: Array,
    b: int,
    m: int,
) -> None:
    """Compute the adjoint of one sample and block, in the rows of ``delta`` at its places.

    Row `START` holds the initial membrane; the gradients of this one and of the input are written.
    """
    beta, threshold, total = at(rows, BETA), at(rows, THRESHOLD), at(rows, SUMS)
    (kind, first, second), places = incoming.slope, outgoing.events.places
    adjoint, profile = incoming.adjoint, incoming.profile
    carried, through = at(rows, CARRIED), at(rows, THROUGH)
    clear(carried)
    add_part_of(carried, incoming.final, b, m)
    if len(profile) > 0:
        load_part(at(rows, SEPARABLE), adjoint[0, b], m)
    for t in range(len(membrane) - 1, -1, -1):
        before = at(membrane, t - 1) if t > 0 else at(rows, START)
        if len(profile) > 0:
            _times(through, at(rows, SEPARABLE), profile[t])
        else:
            clear(through)
            add_part_of(through, adjoint, (t, b), m)
        if len(incoming.mask) > 0:
            _keep(incoming.mask[b, t, m], incoming.scale, through)
        add_part_of(through, incoming.spikes, (t, b), m)
        add_part_of(carried, incoming.membrane, (t, b), m)
        through_spikes(kind, through, through, at(membrane, t), threshold, first, second)
        now = at(delta, places[t])
        if outgoing.sums.shape[1] > 1:
            add(now, carried, through)
            _add_parameters(rows, reset, now, through, before)
        if reset == ZERO:
            _step_back_to_zero(
                now, total, carried, total, carried, through, beta, before, threshold
            )
        else:
            _step_back(now, total, carried, total, carried, through, beta)
    put_part_of(outgoing.initial, b, m, carried)
    _put_adjoint(outgoing.adjoint, places, rows, delta, b, m)


@inlined
def _add_parameters(rows: Array, reset: int, delta: Array, through: Array, before: Array) -> None:
    """Add one timestep to the gradients of beta and threshold.

    The gradient treats a reset as a constant, except for the threshold that it subtracts.
    """
    beta_gradient, threshold_gradient = at(rows, SUMS + 1), at(rows, SUMS + 2)
    threshold = at(rows, THRESHOLD)
    if reset == ZERO:
        _beta_term_unless_fired(beta_gradient, beta_gradient, delta, before, threshold)
    else:
        _beta_term(beta_gradient, beta_gradient, delta, before)
    if reset == SUBTRACT:
        _subtracted_term(threshold_gradient, threshold_gradient, delta, before, threshold)
    _subtract(threshold_gradient, threshold_gradient, through)


@routine
def _keep(word: Any, scale: Any, row: Array) -> None:
    """Apply the dropout of the spikes to a row of gradients."""
    for j in range(WIDTH):
        row[j] *= scale if (word >> np.uint64(j)) & np.uint64(1) else scale - scale


@routine
def _put_adjoint(adjoint: Array, places: Array, rows: Array, delta: Array, b: int, m: int) -> None:
    """Write the adjoint of one sample, or its sum over time."""
    if len(adjoint) > 0:
        total, steps = at(rows, INFLOW), len(places)
        clear(total)
        for t in range(steps):
            if len(adjoint) == steps:
                put_part(adjoint[t, b], m, at(delta, places[t]))
            else:
                add(total, total, at(delta, places[t]))
        if len(adjoint) < steps:
            put_part(adjoint[0, b], m, total)

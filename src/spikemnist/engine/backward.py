r"""The backward pass of a layer of leaky neurons, fused with its weight gradient.

The adjoint is computed backwards in time,

.. math:: \delta_t = \frac{\partial L}{\partial U_t}
          + \sigma'(U_t - \theta) \frac{\partial L}{\partial S_t} + \beta k_t \delta_{t+1}

with :math:`k_t = 1 - S_t` for the reset ``"zero"`` and 1 otherwise, for one sample and one block
of neurons at a time. While its ``[T, WIDTH]`` numbers are in the first-level cache, they are added
to the weight gradient of the block: see `weight_gradient`. The batch is cut into *slices* if there
are few blocks; for *groups* of samples and *bursts* of timesteps see `spike_lists.ByNeuron`.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features, ``M`` blocks,
``C`` neurons of the layer above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spikemnist.engine.forward import Events, Neurons, scan
from spikemnist.engine.membranes import SUBTRACT, ZERO
from spikemnist.engine.slopes import through_spikes
from spikemnist.engine.weight_gradient import add_by_neuron, tabulate
from spikemnist.kernels.blocks import (
    add_part,
    aligned_rows,
    load_block,
    put_part,
    store_block,
    weight_rows,
)
from spikemnist.kernels.compiler import inlined, kernel, routine
from spikemnist.kernels.elementwise import add, elementwise, where
from spikemnist.kernels.registers import WIDTH, at, clear
from spikemnist.kernels.scheduler import borrowed, by_team, next_unit
from spikemnist.kernels.vector import TOGETHER, weigh_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikemnist.kernels.spike_lists import ByNeuron

    Array = NDArray[Any]


CARRIED, START = TOGETHER, TOGETHER + 1
"""Scratch rows of the gradient for the previous timestep, and of the initial membrane. The rows
before them hold the gradients through the spikes of the timesteps computed `TOGETHER`."""


class Slope(NamedTuple):
    """Surrogate derivative, as a code and two parameters: see `spikemnist.engine.slopes`."""

    kind: int
    first: Any
    second: Any


class Above(NamedTuple):
    """Gradient of the spikes from the layer above.

    For a narrow layer above, ``adjoint`` ``[T, B, C]`` is its adjoint and ``weights``
    ``[M, C, WIDTH]`` its weights; their product is the gradient. Otherwise ``adjoint``
    ``[T, B, N]`` is this product, and ``weights`` is ``[1, 0, WIDTH]``. A separable adjoint has one
    timestep, to be multiplied by the ``profile`` ``[T]``: see `separable`.
    """

    adjoint: Array
    weights: Array
    profile: Array


class Mask(NamedTuple):
    """Bits ``[B, T, M]`` of the spikes that dropout kept and multiplied by ``scale``."""

    bits: Array
    scale: Any


class Loss(NamedTuple):
    """Gradients from the loss, of length 0 if there are none.

    ``spikes`` and ``membrane`` are ``[T, B, N]``, ``final`` is ``[B, N]``.
    """

    spikes: Array
    membrane: Array
    final: Array


class Outgoing(NamedTuple):
    """Gradients to compute; the others have length 0.

    ``weight`` is ``[N, F]``; if the batch is cut into several slices, ``slices``
    ``[S, M, F, WIDTH]`` holds one part for each. ``sums`` ``[S, 1 or 3, M, WIDTH]`` is for the bias
    alone, or for bias, beta and threshold.
    """

    weight: Array
    slices: Array
    sums: Array


class Passed(NamedTuple):
    """Gradients of each sample to compute; a missing one has length 0.

    ``initial`` is ``[B, N]``. ``adjoint`` is ``[T, B, N]``, or ``[1, B, N]`` for its sum over time.
    """

    initial: Array
    adjoint: Array


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
def _of_beta(total: Any, delta: Any, before: Any) -> Any:
    return total + delta * before


@elementwise
def _of_beta_unless_fired(total: Any, delta: Any, before: Any, threshold: Any) -> Any:
    return total + delta * where(before > threshold, 0, before)


@elementwise
def _of_subtracted(total: Any, delta: Any, before: Any, threshold: Any) -> Any:
    return total - where(before > threshold, delta, 0)


@kernel
def run_backward(
    queue: Array,
    units: int,
    neurons: Neurons,
    slope: Slope,
    initial: Array | None,
    drive: Events | None,
    membrane: Array | None,
    above: Above | None,
    separable: Above | None,
    mask: Mask | None,
    loss: Loss | None,
    events: ByNeuron,
    outgoing: Outgoing,
    passed: Passed | None,
) -> None:
    """Differentiate one block for one slice of the batch in each unit of work.

    The membranes of the forward pass are ``[B, M, T, WIDTH]``, or None if they are to be computed
    again from ``drive``. The gradient of the spikes comes from the layer ``above``, whose adjoint
    may be ``separable``, and from the ``loss``. A kernel is compiled for each combination of
    arguments that are None, without the code for those; Numba drops the code behind a condition
    only if it tests an argument that is None.

    The slices are the same for any number of threads, and their sums are added in a fixed order.
    """
    if by_team(queue):
        return
    neurons, slope, events, outgoing = borrowed((neurons, slope, events, outgoing))
    lent_drive, lent_membrane, lent_loss = borrowed((drive, membrane, loss))
    lent_above, lent_separable = borrowed((above, separable))
    lent_initial, lent_mask, lent_passed = borrowed((initial, mask, passed))
    slices, steps = len(outgoing.sums), len(events.places)
    batch, group = events.batch, events.group
    groups = -(-batch // group)
    weights = weight_rows(0 if drive is None else lent_drive.weights.shape[1], neurons.beta)
    again, words = aligned_rows(steps, neurons.beta), np.empty(steps, np.uint64)
    delta = aligned_rows(-(-group * steps // events.burst) << events.burst, neurons.beta)
    scratch = aligned_rows(TOGETHER + 2, neurons.beta)
    sums = aligned_rows(outgoing.sums.shape[1], neurons.beta)
    # The gradient of a block stays in the second-level cache until it is complete.
    block_gradient = aligned_rows(outgoing.weight.shape[1], neurons.beta)
    sliced = outgoing.slices.shape[2] > 0
    unit = next_unit(queue)
    while unit < units:
        m, part = unit // slices, unit % slices
        if drive is not None:
            load_block(weights, lent_drive.weights, m)
        gradient = outgoing.slices[part, m] if sliced else block_gradient
        for row in range(len(gradient)):
            clear(at(gradient, row))
        for row in range(len(sums)):
            clear(at(sums, row))
        for g in range(part * groups // slices, (part + 1) * groups // slices):
            begin, end = g * group, min((g + 1) * group, batch)
            for b in range(begin, end):
                start = at(scratch, START)
                clear(start)
                if initial is not None:
                    add_part(start, lent_initial[b], m)
                rows = again
                if drive is not None:
                    inflow = at(scratch, CARRIED)
                    scan(neurons, lent_drive, None, weights, b, m, inflow, start, rows, words)
                if membrane is not None:
                    rows = lent_membrane[b, m]
                # A group of several samples has no tables, hence two rows for each timestep.
                own = delta[2 * (b - begin) * steps :]
                _adjoint(
                    neurons,
                    slope,
                    rows,
                    lent_above,
                    lent_separable,
                    lent_mask,
                    lent_loss,
                    b,
                    m,
                    events.places,
                    own,
                    scratch,
                    sums,
                )
                if passed is not None:
                    _pass_on(lent_passed, b, m, events.places, own, scratch)
            if len(gradient):
                tabulate(delta, (end - begin) * steps, events.burst)
                add_by_neuron(events, g, delta, gradient)
        if len(block_gradient):
            store_block(outgoing.weight, m, block_gradient)
        for row in range(len(sums)):
            for j in range(WIDTH):
                outgoing.sums[part, row, m, j] = sums[row, j]
        unit = next_unit(queue)


@inlined
def _adjoint(
    neurons: Neurons,
    slope: Slope,
    membrane: Array,
    above: Above | None,
    separable: Above | None,
    mask: Mask | None,
    loss: Loss | None,
    b: int,
    m: int,
    places: Array,
    delta: Array,
    scratch: Array,
    sums: Array,
) -> None:
    """Compute the adjoint of one sample and block, in the rows ``delta[places]``.

    Row `START` of ``scratch`` holds the initial membrane; row `CARRIED` receives its gradient.
    """
    beta, threshold, reset = at(neurons.beta, m), at(neurons.threshold, m), neurons.reset
    carried, start, total = at(scratch, CARRIED), at(scratch, START), at(sums, 0)
    clear(carried)
    if loss is not None and len(loss.final):
        add_part(carried, loss.final[b], m)
    if separable is not None:
        _from_above(separable, 0, 1, b, m, scratch)
    for t in range(len(membrane) - 1, -1, -1):
        before = at(membrane, t - 1) if t > 0 else start
        row = _of_spikes(above, separable, mask, loss, t, len(membrane), b, m, scratch)
        through = at(scratch, row)
        kind, first, second = slope
        through_spikes(kind, through, through, at(membrane, t), threshold, first, second)
        now = at(delta, places[t])
        if loss is not None and len(loss.membrane):
            add_part(carried, loss.membrane[t, b], m)
        if len(sums) > 1:
            add(now, carried, through)
            _add_parameters(reset, now, through, before, threshold, at(sums, 1), at(sums, 2))
        if reset == ZERO:
            _step_back_to_zero(
                now, total, carried, total, carried, through, beta, before, threshold
            )
        else:
            _step_back(now, total, carried, total, carried, through, beta)


@inlined
def _of_spikes(
    above: Above | None,
    separable: Above | None,
    mask: Mask | None,
    loss: Loss | None,
    t: int,
    steps: int,
    b: int,
    m: int,
    scratch: Array,
) -> int:
    """Write the gradient of the spikes of a timestep to a row of ``scratch``; return its number.

    It comes from the layer above, for spikes that dropout kept, and from the loss.
    """
    row = 0
    if above is not None:
        row = _from_above(above, t, steps, b, m, scratch)
    if separable is not None:
        row = 1
        _times(at(scratch, row), at(scratch, 0), separable.profile[t])
    if above is None and separable is None:
        clear(at(scratch, row))
    if mask is not None:
        _keep(at(scratch, row), mask.bits[b, t, m], mask.scale)
    if loss is not None and len(loss.spikes):
        add_part(at(scratch, row), loss.spikes[t, b], m)
    return row


@inlined
def _from_above(above: Above, t: int, steps: int, b: int, m: int, scratch: Array) -> int:
    """Write the gradient from the layer above to a row of ``scratch``; return its number.

    The rows of `TOGETHER` timesteps are computed at the last one of them.
    """
    if above.weights.shape[1] == 0:
        clear(at(scratch, 0))
        add_part(at(scratch, 0), above.adjoint[t, b], m)
        return 0
    row = t % TOGETHER
    if row == TOGETHER - 1 or t == steps - 1:
        weigh_rows(scratch, above.weights[m], above.adjoint, t - row, b)
    return row


@inlined
def _add_parameters(
    reset: int,
    delta: Array,
    through: Array,
    before: Array,
    threshold: Array,
    of_beta: Array,
    of_threshold: Array,
) -> None:
    """Add one timestep to the gradients of beta and threshold.

    The gradient treats a reset as a constant, except for the threshold that it subtracts.
    """
    if reset == ZERO:
        _of_beta_unless_fired(of_beta, of_beta, delta, before, threshold)
    else:
        _of_beta(of_beta, of_beta, delta, before)
    if reset == SUBTRACT:
        _of_subtracted(of_threshold, of_threshold, delta, before, threshold)
    _subtract(of_threshold, of_threshold, through)


@inlined
def _keep(row: Array, word: np.uint64, scale: Any) -> None:
    """Apply the dropout of the spikes to a row of gradients."""
    for j in range(WIDTH):
        row[j] *= scale if (word >> np.uint64(j)) & np.uint64(1) else scale - scale


@routine
def _pass_on(passed: Passed, b: int, m: int, places: Array, delta: Array, scratch: Array) -> None:
    """Write the gradients that belong to one sample: the initial membrane and the adjoint.

    Row `CARRIED` of ``scratch`` is the gradient of the initial membrane; row 0 is free.
    """
    carried, total, steps = at(scratch, CARRIED), at(scratch, 0), len(places)
    if len(passed.initial):
        put_part(passed.initial[b], m, carried)
    if len(passed.adjoint) == steps:
        for t in range(steps):
            put_part(passed.adjoint[t, b], m, at(delta, places[t]))
    elif len(passed.adjoint):
        clear(total)
        for t in range(steps):
            add(total, total, at(delta, places[t]))
        put_part(passed.adjoint[0, b], m, total)

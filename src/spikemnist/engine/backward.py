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

from spikemnist.engine.forward import Drive, Neurons, load_initial, scan
from spikemnist.engine.membranes import SUBTRACT, ZERO
from spikemnist.engine.slopes import through_spikes
from spikemnist.engine.weight_gradient import (
    add_by_neuron,
    single,
    tabulate,
)
from spikemnist.kernels.blocks import (
    add_part,
    aligned_rows,
    load_block,
    put_part,
    scratch_block,
    store_block,
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


class Past(NamedTuple):
    """Membranes of the forward pass, ``[B, M, T, WIDTH]``, or the input to compute them again.

    With ``again``, membranes that take few additions are recomputed from ``drive`` in the
    first-level cache, which is faster than writing them to memory and reading them back.
    """

    membrane: Array
    drive: Drive
    again: bool


class Incoming(NamedTuple):
    """Gradients from the loss and from the layer above; a missing one has length 0.

    ``spikes`` and ``membrane`` ``[T, B, N]`` and ``final`` ``[B, N]`` come from the loss.
    For a narrow layer above, ``above`` ``[T, B, C]`` is its adjoint and ``weights``
    ``[M, C, WIDTH]`` its weights; their product is the gradient of the spikes. Otherwise ``above``
    ``[T, B, N]`` is this product, and ``weights`` is ``[1, 0, WIDTH]``. With a ``profile``
    ``[T]``, ``above`` has one timestep, to be multiplied by the profile: see `separable`.
    ``mask`` ``[B, T, M]`` are the bits of the spikes that dropout kept and multiplied by ``scale``.
    """

    spikes: Array
    membrane: Array
    final: Array
    above: Array
    weights: Array
    profile: Array
    mask: Array
    scale: Any


class Outgoing(NamedTuple):
    """Gradients to compute; the others have length 0.

    ``weight`` is ``[N, F]``; if the batch is cut into several slices, ``slices``
    ``[S, M, F, WIDTH]`` holds one part for each. ``sums`` ``[S, 1 or 3, M, WIDTH]`` is for the bias
    alone, or for bias, beta and threshold. ``initial`` is ``[B, N]``. ``adjoint`` is ``[T, B, N]``,
    or ``[1, B, N]`` for its sum over time.
    """

    weight: Array
    slices: Array
    sums: Array
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
    past: Past,
    incoming: Incoming,
    events: ByNeuron,
    outgoing: Outgoing,
) -> None:
    """Differentiate one block for one slice of the batch in each unit of work.

    The slices are the same for any number of threads, and their sums are added in a fixed order.
    """
    if by_team(queue):
        return
    neurons, slope, past, incoming, events, outgoing = borrowed(
        (neurons, slope, past, incoming, events, outgoing)
    )
    batch, _, steps, _ = past.membrane.shape
    slices, burst, group = outgoing.sums.shape[0], events.burst, events.group
    groups = -(-batch // group)
    membrane, words = aligned_rows(steps, neurons.beta), np.empty(steps, np.uint64)
    delta = aligned_rows(-(-group * steps // burst) << burst, neurons.beta)
    scratch = aligned_rows(TOGETHER + 2, neurons.beta)
    sums = aligned_rows(outgoing.sums.shape[1], neurons.beta)
    weights = scratch_block(past.drive.weights, neurons.beta)
    places = np.empty(steps, np.int64)
    for t in range(steps):
        places[t] = single(t, burst)
    # The gradient of a block stays in the second-level cache until it is complete.
    block_gradient = aligned_rows(outgoing.weight.shape[1], neurons.beta)
    sliced = outgoing.slices.shape[2] > 0
    weighed = sliced or len(block_gradient) > 0
    unit = next_unit(queue)
    while unit < units:
        m, part = unit // slices, unit % slices
        load_block(weights, past.drive.weights, m)
        gradient = outgoing.slices[part, m] if sliced else block_gradient
        for row in range(len(gradient)):
            clear(at(gradient, row))
        for row in range(len(sums)):
            clear(at(sums, row))
        for g in range(part * groups // slices, (part + 1) * groups // slices):
            begin, end = g * group, min((g + 1) * group, batch)
            for b in range(begin, end):
                load_initial(past.drive.initial, b, m, at(scratch, START))
                if past.again:
                    inflow, start = at(scratch, CARRIED), at(scratch, START)
                    scan(neurons, past.drive, weights, b, m, inflow, start, membrane, words)
                rows = membrane if past.again else past.membrane[b, m]
                # A group of several samples has no tables, hence two rows for each timestep.
                own = delta[2 * (b - begin) * steps :]
                _adjoint(neurons, slope, rows, incoming, b, m, places, own, scratch, sums)
                _hand_out(outgoing, b, m, places, own, scratch)
            if weighed:
                tabulate(delta, (end - begin) * steps, burst)
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
    incoming: Incoming,
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
    steps = len(membrane)
    beta, threshold, reset = at(neurons.beta, m), at(neurons.threshold, m), neurons.reset
    carried, start, total = at(scratch, CARRIED), at(scratch, START), at(sums, 0)
    # Hoisted out of the loop by hand: the compiler cannot know that these do not change.
    narrow, wide = incoming.weights.shape[1] > 0, len(incoming.above) > 0
    weights, profile = incoming.weights[m if narrow else 0], incoming.profile
    separable = len(profile) > 0
    has_mask, from_loss = len(incoming.mask) > 0, len(incoming.spikes) > 0
    on_membrane, parameters = len(incoming.membrane) > 0, len(sums) > 1
    kind, first, second = slope.kind, slope.first, slope.second
    clear(carried)
    for row in range(TOGETHER):
        clear(at(scratch, row))
    amplitude = at(scratch, 0)
    if separable and narrow:
        weigh_rows(scratch, weights, incoming.above, 0, b)
    elif separable:
        add_part(amplitude, incoming.above[0, b], m)
    if len(incoming.final):
        add_part(carried, incoming.final[b], m)
    for t in range(steps - 1, -1, -1):
        before = at(membrane, t - 1) if t > 0 else start
        among = 1 if separable else t % TOGETHER
        through = at(scratch, among)
        # Gradient of the spikes: from the layer above, for spikes that dropout kept, and from the
        # loss.
        if separable:
            _times(through, amplitude, profile[t])
        elif narrow:
            if among == TOGETHER - 1 or t == steps - 1:
                weigh_rows(scratch, weights, incoming.above, t - among, b)
        elif wide or from_loss:
            clear(through)
            if wide:
                add_part(through, incoming.above[t, b], m)
        if has_mask:
            _keep(through, incoming.mask[b, t, m], incoming.scale)
        if from_loss:
            add_part(through, incoming.spikes[t, b], m)
        if wide or from_loss:
            through_spikes(kind, through, through, at(membrane, t), threshold, first, second)
        now = at(delta, places[t])
        if on_membrane:
            add_part(carried, incoming.membrane[t, b], m)
        if parameters:
            add(now, carried, through)
            _add_parameters(reset, now, through, before, threshold, at(sums, 1), at(sums, 2))
        if reset == ZERO:
            _step_back_to_zero(
                now, total, carried, total, carried, through, beta, before, threshold
            )
        else:
            _step_back(now, total, carried, total, carried, through, beta)


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
def _hand_out(
    outgoing: Outgoing, b: int, m: int, places: Array, delta: Array, scratch: Array
) -> None:
    """Write the gradients that belong to one sample: the initial membrane and the adjoint.

    Row `CARRIED` of ``scratch`` is the gradient of the initial membrane; row 0 is free.
    """
    carried, total, steps = at(scratch, CARRIED), at(scratch, 0), len(places)
    if len(outgoing.initial):
        put_part(outgoing.initial[b], m, carried)
    if len(outgoing.adjoint) == steps:
        for t in range(steps):
            put_part(outgoing.adjoint[t, b], m, at(delta, places[t]))
    elif len(outgoing.adjoint):
        clear(total)
        for t in range(steps):
            add(total, total, at(delta, places[t]))
        put_part(outgoing.adjoint[0, b], m, total)

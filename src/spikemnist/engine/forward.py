r"""The forward pass of a layer of leaky neurons, fused with the sums of its input currents.

The weights of a block of neurons are first copied to rows. Then, for each sample, the input current
of a timestep is a sum of rows of the block (or a row of a current from a matrix product), and the
membrane is updated at once, while both are in the first-level cache. The output is one bit for
each neuron.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features, ``M`` blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from spikemnist.engine.membranes import (
    FEW,
    in_registers,
    run_on_events,
    run_on_events_of_few,
    step,
)
from spikemnist.kernels.bits import above, count_bits
from spikemnist.kernels.blocks import add_part, aligned_rows, load_block, put_part, weight_rows
from spikemnist.kernels.compiler import kernel, routine
from spikemnist.kernels.registers import WIDTH, at, clear
from spikemnist.kernels.scheduler import borrowed, by_team, next_unit
from spikemnist.kernels.vector import sum_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Neurons(NamedTuple):
    """Bias, beta and threshold in blocks ``[M, WIDTH]``, and the code of the reset mechanism.

    A padded neuron has an infinite threshold: it never fires.
    """

    bias: Array
    beta: Array
    threshold: Array
    reset: int


class Events(NamedTuple):
    """Input spikes, and the weights ``[N, F]`` that they add: see `spike_lists.ByTimestep`."""

    weights: Array
    neurons: Array
    starts: Array


class Trace(NamedTuple):
    """Output of the neurons: packed spikes ``words`` ``[M, B, T]`` and their ``counts`` ``[M, B]``.

    Threads work on different blocks. If the words of all blocks were adjacent at each timestep, the
    cores would write to the same cache lines, and wait for one another at every word.

    ``membrane`` ``[B, M, T, WIDTH]`` has length 0 unless requested.
    """

    words: Array
    counts: Array
    membrane: Array


@kernel
def run_forward(
    queue: Array,
    units: int,
    chunk: int,
    neurons: Neurons,
    events: Events | None,
    current: Array | None,
    initial: Array | None,
    final: Array | None,
    trace: Trace,
) -> None:
    """Run one block for ``chunk`` samples in each unit of work; a block's units are consecutive.

    The input is events or a current ``[T, B, N]``, or ``[1, B, N]`` if it is constant; the other
    one is None. ``initial`` ``[B, N]`` are the membranes before the first timestep, or None at
    rest, and ``final`` receives those after the last one. A kernel is compiled for each combination
    of arguments that are None, without the code for those; Numba drops the code behind a condition
    only if it tests an argument that is None.
    """
    if by_team(queue):
        return
    neurons, trace = borrowed((neurons, trace))
    lent_events, lent_current = borrowed((events, current))
    lent_initial, lent_final = borrowed((initial, final))
    _, batch, steps = trace.words.shape
    chunks, block = -(-batch // chunk), -1
    weights = weight_rows(0 if events is None else lent_events.weights.shape[1], neurons.beta)
    scratch = aligned_rows(steps + 2, neurons.beta)
    start = at(scratch, 1)
    unit = next_unit(queue)
    while unit < units:
        m = unit // chunks
        if m != block:
            if events is not None:
                load_block(weights, lent_events.weights, m)
            block = m
        begin = (unit % chunks) * chunk
        for b in range(begin, min(begin + chunk, batch)):
            clear(start)
            if initial is not None:
                add_part(start, lent_initial[b], m)
            membrane = trace.membrane[b, m] if len(trace.membrane) else scratch[2:]
            words = trace.words[m, b]
            scan(
                neurons,
                lent_events,
                lent_current,
                weights,
                b,
                m,
                at(scratch, 0),
                start,
                membrane,
                words,
            )
            count = 0
            for t in range(steps):
                count += count_bits(words[t])
            trace.counts[m, b] = count
            if final is not None:
                put_part(lent_final[b], m, at(membrane, steps - 1))
        unit = next_unit(queue)


@routine
def scan(
    neurons: Neurons,
    events: Events | None,
    current: Array | None,
    weights: Array,
    b: int,
    m: int,
    inflow: Array,
    start: Array,
    membrane: Array,
    words: Array,
) -> None:
    """Run block m of sample b, whose weights are ``[F, WIDTH]``, from the row ``start``.

    Fills ``membrane`` ``[T, WIDTH]`` and ``words``.
    """
    bias, beta, threshold = at(neurons.bias, m), at(neurons.beta, m), at(neurons.threshold, m)
    reset, before = neurons.reset, start
    if events is not None:
        indices, starts = events.neurons, events.starts[b]
        few = events.weights.shape[0] <= FEW
        if in_registers(weights, FEW if few else WIDTH):
            arguments = words, membrane, start, weights, indices, starts, bias, beta, threshold
            if few:
                run_on_events_of_few(reset, *arguments)
            else:
                run_on_events(reset, *arguments)
            return
    for t in range(len(words)):
        if events is not None:
            sum_rows(inflow, weights, indices, starts[t], starts[t + 1], len(weights) - 1)
        if current is not None:
            clear(inflow)
            add_part(inflow, current[min(t, len(current) - 1), b], m)
        now = at(membrane, t)
        step(reset, now, before, inflow, bias, beta, threshold)
        words[t] = above(now, threshold)
        before = now

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
from spikemnist.kernels.blocks import add_part, aligned_rows, load_block, put_part, scratch_block
from spikemnist.kernels.compiler import kernel, routine
from spikemnist.kernels.registers import WIDTH, at, clear
from spikemnist.kernels.scheduler import borrowed, by_team, next_unit
from spikemnist.kernels.vector import sum_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Neurons(NamedTuple):
    """Beta and threshold in blocks ``[M, WIDTH]``, and the code of the reset mechanism.

    A padded neuron has an infinite threshold: it never fires.
    """

    beta: Array
    threshold: Array
    reset: int


class Drive(NamedTuple):
    """Input of the neurons: events times ``weights``, or else a ``current``; and a bias.

    ``weights`` is ``[N, F]``; ``neurons`` and ``starts`` list the events by timestep. Without
    weights, ``[0, 0]``, ``current`` is ``[T, B, N]``, or ``[1, B, N]`` if it is constant.
    ``initial`` is ``[B, N]``, or of length 0 for membranes at rest.
    """

    weights: Array
    neurons: Array
    starts: Array
    current: Array
    bias: Array
    initial: Array


class Trace(NamedTuple):
    """Output of the neurons: packed spikes ``words`` ``[M, B, T]`` and their ``counts`` ``[M, B]``.

    Threads work on different blocks. If the words of all blocks were adjacent at each timestep, the
    cores would write to the same cache lines, and wait for one another at every word.

    ``membrane`` ``[B, M, T, WIDTH]`` and ``final`` ``[B, N]`` have length 0 unless requested.
    """

    words: Array
    counts: Array
    membrane: Array
    final: Array


@kernel
def run_forward(
    queue: Array, units: int, chunk: int, neurons: Neurons, drive: Drive, trace: Trace
) -> None:
    """Run one block for ``chunk`` samples in each unit of work; a block's units are consecutive."""
    if by_team(queue):
        return
    neurons, drive, trace = borrowed((neurons, drive, trace))
    _, batch, steps = trace.words.shape
    chunks = -(-batch // chunk)
    weights, block = scratch_block(drive.weights, neurons.beta), -1
    scratch = aligned_rows(steps + 2, neurons.beta)
    inflow, start = at(scratch, 0), at(scratch, 1)
    unit = next_unit(queue)
    while unit < units:
        m = unit // chunks
        if m != block:
            load_block(weights, drive.weights, m)
            block = m
        begin = (unit % chunks) * chunk
        for b in range(begin, min(begin + chunk, batch)):
            load_initial(drive.initial, b, m, start)
            membrane = trace.membrane[b, m] if len(trace.membrane) else scratch[2:]
            words = trace.words[m, b]
            scan(neurons, drive, weights, b, m, inflow, start, membrane, words)
            count = 0
            for t in range(steps):
                count += count_bits(words[t])
            trace.counts[m, b] = count
            if len(trace.final):
                put_part(trace.final[b], m, at(membrane, steps - 1))
        unit = next_unit(queue)


@routine
def load_initial(initial: Array, b: int, m: int, out: Array) -> None:
    """Set row ``out`` to the membranes of block m of sample b before the first timestep."""
    clear(out)
    if len(initial):
        add_part(out, initial[b], m)


@routine
def scan(
    neurons: Neurons,
    drive: Drive,
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
    bias = at(drive.bias, m)
    beta, threshold = at(neurons.beta, m), at(neurons.threshold, m)
    # Hoisted out of the loop by hand: the compiler cannot know that these do not change.
    reset, current, before = neurons.reset, drive.current, start
    driven, few = len(weights) > 0, drive.weights.shape[0] <= FEW
    indices, starts = drive.neurons, drive.starts[b if driven else 0]
    if driven and in_registers(weights, FEW if few else WIDTH):
        arguments = words, membrane, start, weights, indices, starts, bias, beta, threshold
        if few:
            run_on_events_of_few(reset, *arguments)
        else:
            run_on_events(reset, *arguments)
        return
    for t in range(len(words)):
        if driven:
            sum_rows(inflow, weights, indices, starts[t], starts[t + 1], len(weights) - 1)
        else:
            clear(inflow)
            add_part(inflow, current[min(t, len(current) - 1), b], m)
        now = at(membrane, t)
        step(reset, now, before, inflow, bias, beta, threshold)
        words[t] = above(now, threshold)
        before = now

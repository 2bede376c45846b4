r"""The forward pass of a layer of leaky neurons, fused with the sums of its input currents.

The weights of a block of neurons are first copied to rows. Then, for each sample, the input current
of a timestep is a sum of rows of the block (or a row of a current from a matrix product), and the
membrane is updated at once, while both are in the first-level cache. The output is one bit for
each neuron.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features, ``M`` blocks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spikemnist._tensors import Array
from spikemnist.engine.membranes import FEW, run_on_events, run_on_events_of_few, step
from spikemnist.kernels.bits import above, count_bits
from spikemnist.kernels.blocks import (
    add_part_of,
    aligned_rows,
    load_block,
    load_part,
    put_part_of,
    weight_rows,
)
from spikemnist.kernels.compiler import inlined, kernel, routine
from spikemnist.kernels.registers import WIDTH, at, clear
from spikemnist.kernels.scheduler import borrowed, by_team, units_of

INFLOW, START, BIAS, BETA, THRESHOLD, ROWS = range(6)
"""Rows of scratch for a block of neurons, and their number: its input, its initial membrane and
its parameters."""


class Neurons(NamedTuple):
    """Parameters of ``size`` neurons, ``[N]``, or ``[1]`` for all; and the code of their reset.

    They begin at ``initial`` ``[B, N]``, or at rest where it is `memory.absent`.
    """

    size: int
    bias: Array
    beta: Array
    threshold: Array
    initial: Array
    reset: int


class Events(NamedTuple):
    """Input spikes, and the weights ``[N, F]`` that they add: see `spike_lists.ByTimestep`.

    The spikes are also there as packed ``words`` ``[B, T, W]``.
    """

    weights: Array
    words: Array
    neurons: Array
    starts: Array


class Trace(NamedTuple):
    """Output of the neurons: packed spikes ``words`` ``[M, B, T]`` and their ``counts`` ``[M, B]``.

    Threads work on different blocks. If the words of all blocks were adjacent at each timestep, the
    cores would write to the same cache lines, and wait for one another at every word.

    ``membrane`` is ``[B, M, T, WIDTH]``, or has one row for each unit of work of a block, which
    the samples of the unit use one after the other. The membranes after the last timestep are
    ``final`` ``[B, N]``, or `memory.absent`.
    """

    words: Array
    counts: Array
    membrane: Array
    final: Array


@kernel
def run_forward(
    queue: Array,
    chunk: int,
    neurons: Neurons,
    events: Events | None,
    current: Array | None,
    trace: Trace,
) -> None:
    """Run one block for ``chunk`` samples in each unit of work; a block's units are consecutive.

    The input is events or a current ``[T, B, N]``, or ``[1, B, N]`` if it is constant; the other
    one is None. A kernel is compiled for each combination of arguments that are None, without the
    code for those; Numba drops the code behind a condition only if it tests an argument of its
    function.
    """
    if by_team(queue):
        return
    neurons, trace = borrowed((neurons, trace))
    lent_events, lent_current = borrowed((events, current))
    _, batch, steps = trace.words.shape
    chunks, block = -(-batch // chunk), -1
    rows = weights = aligned_rows(ROWS, neurons.beta)
    if events is not None:
        weights = weight_rows(lent_events.weights.shape[1], neurons.beta)
    for unit in units_of(queue):
        m, part = unit // chunks, unit % chunks
        if m != block:
            load_neurons(rows, neurons, m)
            if events is not None:
                copy_weights(weights, lent_events, m)
            block = m
        for b in range(part * chunk, min((part + 1) * chunk, batch)):
            membrane = trace.membrane[b if len(trace.membrane) == batch else part, m]
            words, count = trace.words[m, b], 0
            begin(neurons.initial, rows, b, m)
            scan(neurons.reset, lent_events, lent_current, weights, rows, b, m, membrane, words)
            for t in range(steps):
                count += count_bits(words[t])
            trace.counts[m, b] = count
            put_part_of(trace.final, b, m, at(membrane, steps - 1))


@routine
def copy_weights(weights: Array, events: Events, m: int) -> None:
    """Copy the weights of block m; for a few samples, only those of the neurons that fired."""
    batch, steps, width = events.words.shape
    fired = np.zeros(width, np.uint64)
    if batch * steps < events.weights.shape[1]:
        for b in range(batch):
            for t in range(steps):
                for w in range(width):
                    fired[w] |= events.words[b, t, w]
    else:
        fired[:] = ~np.uint64(0)
    load_block(weights, events.weights, m, fired)


@inlined
def begin(initial: Array, rows: Array, b: int, m: int) -> None:
    """Write the membranes of a sample before the first timestep to their row."""
    clear(at(rows, START))
    add_part_of(at(rows, START), initial, b, m)


@routine
def load_neurons(rows: Array, neurons: Neurons, m: int) -> None:
    """Write the parameters of block m to their rows.

    A padded neuron has an infinite threshold: it never fires.
    """
    for j in range(WIDTH):
        n = min(m * WIDTH + j, neurons.size - 1)
        beta = neurons.beta[min(n, len(neurons.beta) - 1)]
        threshold = neurons.threshold[min(n, len(neurons.threshold) - 1)]
        rows[BIAS, j] = neurons.bias[min(n, len(neurons.bias) - 1)]
        # Not min and max, which lose what is not a number.
        rows[BETA, j] = 0 if beta < 0 else 1 if beta > 1 else beta
        rows[THRESHOLD, j] = threshold if n == m * WIDTH + j else np.inf


@routine
def scan(
    reset: int,
    events: Events | None,
    current: Array | None,
    weights: Array,
    rows: Array,
    b: int,
    m: int,
    membrane: Array,
    words: Array,
) -> None:
    """Run block m of sample b, whose weights are ``[F, WIDTH]``, from the row `START`.

    Fills ``membrane`` ``[T, WIDTH]`` and ``words``.
    """
    bias, beta, threshold = at(rows, BIAS), at(rows, BETA), at(rows, THRESHOLD)
    inflow, before = at(rows, INFLOW), at(rows, START)
    if events is not None:
        indices, starts = events.neurons, events.starts[b]
        arguments = words, membrane, before, weights, indices, starts, bias, beta, threshold
        if events.weights.shape[0] <= FEW:
            run_on_events_of_few(reset, *arguments)
        else:
            run_on_events(reset, *arguments)
    if current is not None:
        for t in range(len(words)):
            if t < len(current):
                load_part(inflow, current[t, b], m)
            now = at(membrane, t)
            step(reset, now, before, inflow, bias, beta, threshold)
            words[t] = above(now, threshold)
            before = now

"""Update the membranes of a block of leaky neurons: for one timestep, or for all in registers.

Shapes: ``T`` timesteps, ``F`` input features; a row has one number for each neuron of the block.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba.np.arrayobj import make_array

from spikemnist._tensors import Array
from spikemnist.kernels.bits import above, word_of
from spikemnist.kernels.elementwise import branch, results, row_of, switch, where
from spikemnist.kernels.intrinsics import array_numbers, lowered
from spikemnist.kernels.registers import BYTE, INDEX, WIDTH, Rows, lanes
from spikemnist.kernels.vector import sum_of_rows

SUBTRACT, ZERO, NONE = range(3)
RESETS = {"subtract": SUBTRACT, "zero": ZERO, "none": NONE}


# The roundings come in snnTorch's order: given the same current, the bits are the same.


def _subtract(before: Any, inflow: Any, bias: Any, beta: Any, threshold: Any) -> Any:
    return (beta * before + (inflow + bias)) - where(before > threshold, threshold, 0)


def _zero(before: Any, inflow: Any, bias: Any, beta: Any, threshold: Any) -> Any:
    return beta * (before - where(before > threshold, before, 0)) + (inflow + bias)


def _integrate(before: Any, inflow: Any, bias: Any, beta: Any, _: Any) -> Any:
    return beta * before + (inflow + bias)


_FORMULAS = (_subtract, _zero, _integrate)
"""Formulas in the order of the codes in `RESETS`."""

FEW = 16
"""Neurons up to which only the first part of a row is computed."""

step: Callable[..., None] = switch(_FORMULAS)
"""``step(reset, out, before, inflow, bias, beta, threshold)`` writes the row of membranes that
follows the row ``before`` in time."""


def _running(width: int) -> Callable[..., None]:
    """Return ``run(reset, words, membrane, start, weights, indices, starts, *neuron)``.

    It fills ``words`` and the rows of ``membrane`` for all timesteps, from the initial row
    ``start``. The rows ``neuron`` are bias, beta and threshold. The input of timestep t is the sum
    of the rows ``weights[indices[starts[t] : starts[t + 1]]]``. The last row of weights is zero:
    see `vector.sum_rows`. Only the first ``width`` neurons are computed.
    """

    def run(
        reset: int,
        words: Array,
        membrane: Array,
        start: Array,
        weights: Array,
        indices: Array,
        starts: Array,
        *neuron: Array,
    ) -> None:
        before = start
        for t in range(len(words)):
            inflow = weights[indices[starts[t] : starts[t + 1]]].sum(0)
            membrane[t] = _FORMULAS[reset](before, inflow, *neuron)
            words[t] = above(membrane[t], neuron[-1])
            before = membrane[t]

    def trace(context: Any, builder: Any, kinds: Any, values: Any) -> None:
        _trace(width, context, builder, kinds, values)

    lowered(run)(trace)
    return run


def _trace(width: int, context: Any, builder: Any, kinds: Any, values: Any) -> None:
    reset, kinds, values = values[0], kinds[1:], values[1:]
    rows, all_of_row = (Rows(context, builder, kinds[1].dtype, size) for size in (width, WIDTH))
    words = make_array(kinds[0])(context, builder, values[0])
    indices, starts = (array_numbers(context, builder, kinds[i], values[i]) for i in (4, 5))
    membrane, start, block = (rows.address(kinds[i], values[i]) for i in (1, 2, 3))
    neuron = [row_of(rows, *pair) for pair in zip(kinds[6:], values[6:], strict=True)]
    count, one = builder.extract_value(words.shape, 0), ir.Constant(INDEX, 1)
    features = builder.extract_value(make_array(kinds[3])(context, builder, values[3]).shape, 0)
    zero = builder.sub(features, one)

    def body(t: Any, before: Any) -> Any:
        begin, end = (starts.load(at) for at in (t, builder.add(t, one)))
        inflow = sum_of_rows(rows, block, indices, begin, end, zero)
        parts = [before, inflow, *neuron]
        formulas = [partial(results, formula, builder, parts) for formula in _FORMULAS]
        (now,) = branch(builder, reset, formulas)
        # Zeros for the neurons that are not computed.
        order = [min(lane, width) for lane in range(WIDTH)]
        whole = builder.shuffle_vector(now, rows.zeros(), lanes(order)) if width < WIDTH else now
        all_of_row.store(whole, rows.of_table(membrane, t))
        place = builder.mul(t, builder.extract_value(words.strides, 0))
        data = builder.bitcast(words.data, BYTE.as_pointer())
        address = builder.gep(data, [place], source_etype=BYTE)
        word = word_of(builder, builder.fcmp_ordered(">", now, neuron[-1]))
        builder.store(word, builder.bitcast(address, words.data.type))
        return now

    rows.loop(ir.Constant(INDEX, 0), count, 1, rows.load(start), body)


run_on_events, run_on_events_of_few = _running(WIDTH), _running(FEW)
"""Results of `_running`: for a block of neurons, and for a block with at most `FEW`."""

"""Operations on rows that keep them in vector registers, which Numba's own loops do not.

Each function here is written in plain NumPy, which runs if compilation is switched off
(``NUMBA_DISABLE_JIT=1``). Compiled kernels use the LLVM code for it instead, which becomes AVX-512,
AVX2 or NEON, depending on the processor. A *row* is explained in `registers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import make_array

from spikemnist._tensors import Array
from spikemnist.kernels.intrinsics import array_numbers, lowered
from spikemnist.kernels.registers import BYTE, INDEX, VECTOR_BYTES, Rows, lanes

UNROLL = 4
"""Rows that are summed before the sum goes to the accumulator: shorter chains of additions."""


def sum_rows(out: Array, table: Array, indices: Array, start: int, stop: int, zero: int) -> None:
    """Set row ``out`` to the sum of the rows ``table[indices[start:stop]]``.

    Row ``zero`` of the table holds zeros. It fills up the last `UNROLL` rows, which costs less than
    a mispredicted branch. So some indices behind the last one are read, but not used.
    """
    out[:] = table[indices[start:stop]].sum(0)


def add_rows(
    out: Array, table: Array, indices: Array, start: int, stop: int, shift: int = 0
) -> None:
    """Add the rows ``table[indices[start:stop] + shift]`` to row ``out``."""
    out += table[indices[start:stop].astype(np.int64) + shift].sum(0)


def scatter_row(
    table: Array, row: Array, indices: Array, start: int, stop: int, shift: int = 0
) -> None:
    """Add a row to the rows ``table[indices[start:stop] + shift]``, which must be distinct."""
    table[indices[start:stop].astype(np.int64) + shift] += row


def transpose_block(out: Array, source: Array, row: int, column: int) -> None:
    """Write the transpose of the square of ``source`` that begins at row and column to ``out``.

    The square has as many rows as a vector register has numbers.
    """
    side = VECTOR_BYTES // source.itemsize
    block = source[row : row + side, column : column + side]
    out[column : column + side, row : row + side] = block.T


def _index(builder: Any, indices: Any, position: Any) -> Any:
    index = indices.load(position)
    return builder.zext(index, INDEX) if index.type.width < INDEX.width else index


def _sum(rows: Rows, row: Callable[[Any], Any], count: int, position: Any, total: Any) -> Any:
    """Add ``count`` rows, a power of two, from a position on, first in pairs, to a row."""
    builder = rows.builder
    terms = [rows.load(row(builder.add(position, ir.Constant(INDEX, i)))) for i in range(count)]
    while len(terms) > 1:
        terms = [builder.fadd(*pair) for pair in zip(terms[::2], terms[1::2], strict=True)]
    return builder.fadd(total, terms[0])


def sum_of_rows(rows: Rows, base: Any, indices: Any, begin: Any, end: Any, zero: Any) -> Any:
    """Emit the code of `sum_rows` for addresses; return the sum, in registers."""
    builder = rows.builder

    def row(position: Any) -> Any:
        index = _index(builder, indices, position)
        index = builder.select(builder.icmp_signed("<", position, end), index, zero)
        return rows.of_table(base, index)

    sums = []
    for strip in rows.strips():
        add = partial(_sum, strip, row, UNROLL)
        sums.append(strip.loop(begin, end, UNROLL, strip.zeros(), add))
    return _joined(builder, sums)


def _joined(builder: Any, vectors: Sequence[Any]) -> Any:
    """Join 1, 2, 4 or more vectors to one."""
    while len(vectors) > 1:
        order = lanes(range(2 * vectors[0].type.count))
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [builder.shuffle_vector(*pair, order) for pair in pairs]
    return vectors[0]


def _take_indices(first: Any, second: Any, indices: Any, *numbers: Any) -> Any:
    return types.void(first, second, indices, *[types.intp] * len(numbers))


@lowered(sum_rows, _take_indices)
def _sum_rows(context: Any, builder: Any, kinds: Any, values: Any) -> None:
    rows = Rows(context, builder, kinds[1].dtype)
    target, base = (rows.address(kinds[i], values[i]) for i in (0, 1))
    indices = array_numbers(context, builder, kinds[2], values[2])
    rows.store(sum_of_rows(rows, base, indices, *values[3:]), target)


@lowered(add_rows, _take_indices)
def _add_rows(context: Any, builder: Any, kinds: Any, values: Any) -> None:
    rows = Rows(context, builder, kinds[1].dtype)
    target, base = (rows.address(kinds[i], values[i]) for i in (0, 1))
    indices = array_numbers(context, builder, kinds[2], values[2])
    begin, end, shift = [*values[3:], ir.Constant(INDEX, 0)][:3]

    def row(position: Any) -> Any:
        index = builder.add(_index(builder, indices, position), shift)
        return rows.of_table(base, index)

    bulk = builder.and_(builder.sub(end, begin), ir.Constant(INDEX, -UNROLL))
    middle = builder.add(begin, bulk)
    for strip in rows.strips():
        total = strip.load(target)
        for first, last, count in (begin, middle, UNROLL), (middle, end, 1):
            total = strip.loop(first, last, count, total, partial(_sum, strip, row, count))
        strip.store(total, target)


@lowered(scatter_row, _take_indices)
def _scatter_row(context: Any, builder: Any, kinds: Any, values: Any) -> None:
    rows = Rows(context, builder, kinds[0].dtype)
    base, source = (rows.address(kinds[i], values[i]) for i in (0, 1))
    indices = array_numbers(context, builder, kinds[2], values[2])
    begin, end, shift = [*values[3:], ir.Constant(INDEX, 0)][:3]
    row = rows.load(source)

    def body(position: Any, _: None) -> None:
        index = builder.add(_index(builder, indices, position), shift)
        target = rows.of_table(base, index)
        rows.store(builder.fadd(rows.load(target), row), target)

    rows.loop(begin, end, 1, None, body)


@lowered(transpose_block, lambda *kinds: types.void(*kinds[:2], types.intp, types.intp))
def _transpose_block(context: Any, builder: Any, kinds: Any, values: Any) -> None:
    dtype, corner = kinds[1].dtype, values[2:]
    side = 8 * VECTOR_BYTES // dtype.bitwidth
    rows = Rows(context, builder, dtype, side)
    to = _block_rows(rows, kinds[0], values[0], corner[::-1])
    block = [rows.load(row) for row in _block_rows(rows, kinds[1], values[1], corner)]
    # At distance d the rows i and i + d exchange half of their lanes. After all powers of two, row
    # and lane have changed places.
    distance = 1
    while distance < side:
        for i in range(side):
            if i & distance == 0:
                pair = block[i], block[i + distance]
                block[i], block[i + distance] = _exchange(builder, *pair, distance)
        distance *= 2
    for value, row in zip(block, to, strict=True):
        rows.store(value, row)


def _block_rows(rows: Rows, kind: Any, value: Any, corner: Any) -> list[Any]:
    """Return the addresses of the rows of a block of a matrix."""
    builder = rows.builder
    array = make_array(kind)(rows.context, builder, value)
    stride, across = cgutils.unpack_tuple(builder, array.strides)
    base = builder.bitcast(array.data, BYTE.as_pointer())
    for index, distance in zip(corner, (stride, across), strict=True):
        offset = builder.mul(index, distance)
        base = builder.gep(base, [offset], inbounds=True, source_etype=BYTE)
    offsets = [builder.mul(stride, ir.Constant(INDEX, row)) for row in range(rows.vector.count)]
    return [builder.gep(base, [offset], inbounds=True, source_etype=BYTE) for offset in offsets]


def _exchange(builder: Any, low: Any, high: Any, distance: int) -> tuple[Any, Any]:
    side = low.type.count
    to_low = [i if i & distance == 0 else side + i - distance for i in range(side)]
    to_high = [i + distance if i & distance == 0 else side + i for i in range(side)]
    first, second = (builder.shuffle_vector(low, high, lanes(order)) for order in (to_low, to_high))
    return first, second

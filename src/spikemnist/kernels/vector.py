"""Vector operations that Numba's own loops do not reach: rows kept in registers.

Each function here is its own meaning, in plain NumPy: that is what runs where compilation is
switched off (``NUMBA_DISABLE_JIT=1``). Compiled kernels use the LLVM code below it instead, which
becomes AVX-512, AVX2 or NEON as the processor has it. A *row* is explained in `registers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from spikemnist.kernels.registers import BYTE, INDEX, VECTOR_BYTES, Rows, numbers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

UNROLL = 4
"""Rows that are added up before the sum goes to the accumulator: shorter chains of additions."""

TOGETHER = 4
"""Timesteps that are weighed at once: a row is loaded once for all of them, and the processor
works at one sum while another waits for its last product."""


def sum_rows(out: Array, table: Array, indices: Array, start: int, stop: int, zero: int) -> None:
    """Set row ``out`` to the sum of the rows ``table[indices[start:stop]]``.

    Row ``zero`` of the table holds zeros. It fills up the last `UNROLL` rows, which costs less than
    a branch that is mispredicted; so some indices behind the last one are read, and not used.
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
    """Add a row to the rows ``table[indices[start:stop] + shift]``, which are different ones."""
    table[indices[start:stop].astype(np.int64) + shift] += row


def weigh_rows(out: Array, table: Array, weights: Array, t: int, b: int) -> None:
    """Set `TOGETHER` rows to the sums of the rows of ``table`` times ``weights[t + i, b]``.

    Behind the last timestep its row is repeated.
    """
    for i in range(TOGETHER):
        out[i] = weights[min(t + i, len(weights) - 1), b] @ table[: weights.shape[2]]


def transpose_block(out: Array, source: Array, row: int, column: int) -> None:
    """Set a block of a matrix to the transpose of that of another, which begins at row and column.

    It has as many rows as there are numbers in a row of `VECTOR_BYTES`.
    """
    side = VECTOR_BYTES // source.itemsize
    block = source[row : row + side, column : column + side]
    out[column : column + side, row : row + side] = block.T


def _index(builder: Any, indices: Any, position: Any) -> Any:
    index = indices.load(position)
    return builder.zext(index, INDEX) if index.type.width < INDEX.width else index


def _tree(rows: Any, terms: list[list[Any]]) -> list[Any]:
    """Return the sum of rows, in pairs."""
    while len(terms) > 1:
        terms = [rows.add(*pair) for pair in zip(terms[::2], terms[1::2], strict=True)]
    return terms[0]


def sum_of_rows(rows: Any, base: Any, indices: Any, begin: Any, end: Any, zero: Any) -> list[Any]:
    """Emit the code of `sum_rows` for addresses; return the sum, in registers."""
    builder = rows.builder

    def row(position: Any) -> list[Any]:
        index = _index(builder, indices, position)
        index = builder.select(builder.icmp_signed("<", position, end), index, zero)
        return rows.load(rows.of_table(base, index))  # type: ignore[no-any-return]

    def several(position: Any, sums: list[Any]) -> list[Any]:
        terms = [row(builder.add(position, ir.Constant(INDEX, i))) for i in range(UNROLL)]
        return rows.add(sums, _tree(rows, terms))  # type: ignore[no-any-return]

    return rows.loop(begin, end, UNROLL, rows.zeros(), several)  # type: ignore[no-any-return]


@intrinsic  # type: ignore[untyped-decorator]
def _sum_rows_code(
    typing: Any, out: Any, table: Any, indices: Any, start: Any, stop: Any, zero: Any
) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, table.dtype)
        target, base = (rows.address(signature.args[i], arguments[i]) for i in (0, 1))
        index_data = numbers_of(context, builder, signature.args[2], arguments[2])
        rows.store(sum_of_rows(rows, base, index_data, *arguments[3:]), target)
        return context.get_dummy_value()

    return types.void(out, table, indices, types.intp, types.intp, types.intp), code


@intrinsic  # type: ignore[untyped-decorator]
def _add_rows_code(
    typing: Any, out: Any, table: Any, indices: Any, start: Any, stop: Any, shift: Any
) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, table.dtype)
        target, base = (rows.address(signature.args[i], arguments[i]) for i in (0, 1))
        index_data = numbers_of(context, builder, signature.args[2], arguments[2])

        def row(position: Any) -> list[Any]:
            index = builder.add(_index(builder, index_data, position), arguments[5])
            return rows.load(rows.of_table(base, index))

        def several(position: Any, sums: list[Any]) -> list[Any]:
            terms = [row(builder.add(position, ir.Constant(INDEX, i))) for i in range(UNROLL)]
            return rows.add(sums, _tree(rows, terms))

        begin, end = arguments[3:5]
        whole = builder.and_(builder.sub(end, begin), ir.Constant(INDEX, -UNROLL))
        middle = builder.add(begin, whole)
        sums = rows.loop(begin, middle, UNROLL, rows.load(target), several)
        sums = rows.loop(middle, end, 1, sums, lambda at, sums: rows.add(sums, row(at)))
        rows.store(sums, target)
        return context.get_dummy_value()

    return types.void(out, table, indices, types.intp, types.intp, types.intp), code


@intrinsic  # type: ignore[untyped-decorator]
def _scatter_row_code(
    typing: Any, table: Any, row: Any, indices: Any, start: Any, stop: Any, shift: Any
) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, table.dtype)
        base, source = (rows.address(signature.args[i], arguments[i]) for i in (0, 1))
        index_data = numbers_of(context, builder, signature.args[2], arguments[2])
        values = rows.load(source)

        def body(position: Any, _: list[Any]) -> list[Any]:
            index = builder.add(_index(builder, index_data, position), arguments[5])
            target = rows.of_table(base, index)
            rows.store(rows.add(rows.load(target), values), target)
            return []

        rows.loop(arguments[3], arguments[4], 1, [], body)
        return context.get_dummy_value()

    return types.void(table, row, indices, types.intp, types.intp, types.intp), code


@intrinsic  # type: ignore[untyped-decorator]
def _transpose_block_code(typing: Any, out: Any, source: Any, row: Any, column: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, source.dtype)
        side, corner = rows.vector.count, arguments[2:]
        to = _block_rows(context, builder, out, arguments[0], corner[::-1], side)
        from_ = _block_rows(context, builder, source, arguments[1], corner, side)
        block = [
            builder.load(_as(builder, row, rows.vector), align=rows.size, typ=rows.vector)
            for row in from_
        ]
        # At distance d the rows i and i + d exchange the lanes in which they differ: after all
        # powers of two, row and lane have changed places.
        distance = 1
        while distance < side:
            for i in range(side):
                if i & distance == 0:
                    block[i], block[i + distance] = _exchange(
                        builder, block[i], block[i + distance], side, distance
                    )
            distance *= 2
        for value, row in zip(block, to, strict=True):
            builder.store(value, _as(builder, row, rows.vector), align=rows.size)
        return context.get_dummy_value()

    return types.void(out, source, types.intp, types.intp), code


def _as(builder: Any, address: Any, vector: Any) -> Any:
    return builder.bitcast(address, vector.as_pointer())


def _block_rows(
    context: Any, builder: Any, kind: Any, value: Any, corner: Any, count: int
) -> list[Any]:
    """Return the addresses at which the rows of a block of a matrix begin."""
    array = make_array(kind)(context, builder, value)
    stride, across = cgutils.unpack_tuple(builder, array.strides)
    base = builder.bitcast(array.data, BYTE.as_pointer())
    for index, distance in zip(corner, (stride, across), strict=True):
        offset = builder.mul(index, distance)
        base = builder.gep(base, [offset], inbounds=True, source_etype=BYTE)
    offsets = [builder.mul(stride, ir.Constant(INDEX, row)) for row in range(count)]
    return [builder.gep(base, [offset], inbounds=True, source_etype=BYTE) for offset in offsets]


def _exchange(builder: Any, low: Any, high: Any, side: int, distance: int) -> tuple[Any, Any]:
    index = ir.VectorType(ir.IntType(32), side)
    lanes = range(side)
    to_low = [lane if lane & distance == 0 else side + lane - distance for lane in lanes]
    to_high = [lane + distance if lane & distance == 0 else side + lane for lane in lanes]
    first, second = (
        builder.shuffle_vector(low, high, ir.Constant(index, order)) for order in (to_low, to_high)
    )
    return first, second


@intrinsic  # type: ignore[untyped-decorator]
def _weigh_rows_code(typing: Any, out: Any, table: Any, weights: Any, t: Any, b: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, table.dtype)
        target, base = (rows.address(signature.args[i], arguments[i]) for i in (0, 1))
        weight = make_array(weights)(context, builder, arguments[2])
        numbers = numbers_of(context, builder, weights, arguments[2])
        steps, batch, count = cgutils.unpack_tuple(builder, weight.shape)
        last, begins = builder.sub(steps, ir.Constant(INDEX, 1)), []
        for i in range(TOGETHER):
            step = builder.add(arguments[3], ir.Constant(INDEX, i))
            step = builder.select(builder.icmp_signed("<", step, last), step, last)
            place = builder.add(builder.mul(step, batch), arguments[4])
            begins.append(numbers.behind(builder.mul(place, count)))

        def body(position: Any, sums: list[Any]) -> list[Any]:
            terms, new = rows.load(rows.of_table(base, position)), []
            for i, begin in enumerate(begins):
                lanes = rows.splat(begin.load(position))
                row = sums[i * rows.count : (i + 1) * rows.count]
                pairs = zip(terms, row, strict=True)
                new += [rows.multiply_add(lanes, *pair) for pair in pairs]
            return new

        sums = rows.loop(ir.Constant(INDEX, 0), count, 1, rows.zeros() * TOGETHER, body)
        for i in range(TOGETHER):
            to = rows.of_table(target, ir.Constant(INDEX, i))
            rows.store(sums[i * rows.count : (i + 1) * rows.count], to)
        return context.get_dummy_value()

    return types.void(out, table, weights, types.intp, types.intp), code


overload(sum_rows)(
    lambda out, table, indices, start, stop, zero: (
        lambda out, table, indices, start, stop, zero: _sum_rows_code(
            out, table, indices, start, stop, zero
        )
    )
)
overload(add_rows)(
    lambda out, table, indices, start, stop, shift=0: (
        lambda out, table, indices, start, stop, shift=0: _add_rows_code(
            out, table, indices, start, stop, shift
        )
    )
)
overload(scatter_row)(
    lambda table, row, indices, start, stop, shift=0: (
        lambda table, row, indices, start, stop, shift=0: _scatter_row_code(
            table, row, indices, start, stop, shift
        )
    )
)
overload(weigh_rows)(
    lambda out, table, weights, t, b: (
        lambda out, table, weights, t, b: _weigh_rows_code(out, table, weights, t, b)
    )
)
overload(transpose_block)(
    lambda out, source, row, column: (
        lambda out, source, row, column: _transpose_block_code(out, source, row, column)
    )
)

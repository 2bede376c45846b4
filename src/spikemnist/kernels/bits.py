"""Spikes of a tile as the bits of a word: comparing rows, counting and walking along bits.

As in `vector`, each function is its own meaning, and kernels use the LLVM code below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from spikemnist.kernels.registers import WIDTH, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def above(row: Array, bound: Array) -> Any:
    """Return the word whose bit j tells whether ``row[j] > bound[j]``."""
    return _word(row > bound)


def equal(row: Array, value: Any) -> Any:
    """Return the word whose bit j tells whether ``row[j] == value``."""
    return _word(row == value)


def add_where(row: Array, word: Any, value: Any) -> None:
    """Add a number to those of a row whose bit is set."""
    bits = np.unpackbits(np.array([word], np.uint64).view(np.uint8), bitorder="little")
    row[bits > 0] += value


def lowest_bit(word: np.uint64) -> int:
    """Return the position of the lowest bit that is set; `WIDTH` where there is none."""
    return (int(word) & -int(word)).bit_length() - 1 if word else WIDTH


def drop_lowest_bit(word: np.uint64) -> np.uint64:
    """Return the word without its lowest bit; 0 remains 0."""
    rest: np.uint64 = np.uint64(int(word) & (int(word) - 1))
    return rest


def count_bits(word: np.uint64) -> int:
    """Return how many bits are set."""
    return int(word).bit_count()


def _word(bits: Array) -> Any:
    return np.packbits(bits, bitorder="little").view(np.uint64)[0]


def word_of(builder: Any, parts: list[Any]) -> Any:
    """Emit the code that puts vectors of bits together, the lowest first."""
    long, word = ir.IntType(WIDTH), ir.Constant(ir.IntType(WIDTH), 0)
    for index, part in enumerate(parts):
        lanes = part.type.count
        bits = builder.zext(builder.bitcast(part, ir.IntType(lanes)), long)
        word = builder.or_(word, builder.shl(bits, ir.Constant(long, index * lanes)))
    return word


def _compare_code(array_type: Any, scalar: bool, operator: str) -> Any:
    """Return code that compares a row with another, or with a number, into a word."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        dtype = array_type.dtype
        element = context.get_value_type(dtype)
        vector = ir.VectorType(element, WIDTH)

        def load(argument: Any, argument_type: Any) -> Any:
            address = Rows(context, builder, dtype).address(argument_type, argument)
            row = builder.bitcast(address, vector.as_pointer())
            return builder.load(row, align=dtype.bitwidth // 8, typ=vector)

        left = load(arguments[0], signature.args[0])
        if scalar:
            one = builder.insert_element(
                ir.Constant(vector, ir.Undefined), arguments[1], ir.Constant(ir.IntType(32), 0)
            )
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), None)
            right = builder.shuffle_vector(one, one, lanes)
        else:
            right = load(arguments[1], signature.args[1])
        floating = isinstance(dtype, types.Float)
        compare = builder.fcmp_ordered if floating else builder.icmp_unsigned
        return builder.bitcast(compare(operator, left, right), ir.IntType(WIDTH))

    return code


@intrinsic  # type: ignore[untyped-decorator]
def _above_code(typing: Any, row: Any, bound: Any) -> Any:
    return types.uint64(row, bound), _compare_code(row, scalar=False, operator=">")


@intrinsic  # type: ignore[untyped-decorator]
def _equal_code(typing: Any, row: Any, value: Any) -> Any:
    return types.uint64(row, row.dtype), _compare_code(row, scalar=True, operator="==")


@intrinsic  # type: ignore[untyped-decorator]
def _lowest_bit_code(typing: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), code


@intrinsic  # type: ignore[untyped-decorator]
def _drop_lowest_bit_code(typing: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (word,) = arguments
        return builder.and_(word, builder.sub(word, ir.Constant(word.type, 1)))

    return types.uint64(types.uint64), code


@intrinsic  # type: ignore[untyped-decorator]
def _count_bits_code(typing: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), code


@intrinsic  # type: ignore[untyped-decorator]
def _add_where_code(typing: Any, row: Any, word: Any, value: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, row.dtype)
        address, number = rows.address(signature.args[0], arguments[0]), rows.splat(arguments[2])
        lanes = rows.vector.count
        bits = builder.bitcast(arguments[1], ir.VectorType(ir.IntType(1), WIDTH))
        parts = []
        for part, zero in enumerate(rows.zeros()):
            order = [part * lanes + lane for lane in range(lanes)]
            index = ir.Constant(ir.VectorType(ir.IntType(32), lanes), order)
            parts.append(builder.select(builder.shuffle_vector(bits, bits, index), number, zero))
        rows.store(rows.add(rows.load(address), parts), address)
        return context.get_dummy_value()

    return types.void(row, word, value), code


overload(above)(lambda row, bound: lambda row, bound: _above_code(row, bound))
overload(equal)(lambda row, value: lambda row, value: _equal_code(row, value))
overload(lowest_bit)(lambda word: lambda word: _lowest_bit_code(word))
overload(drop_lowest_bit)(lambda word: lambda word: _drop_lowest_bit_code(word))
overload(count_bits)(lambda word: lambda word: _count_bits_code(word))
overload(add_where)(
    lambda row, word, value: lambda row, word, value: _add_where_code(row, word, value)
)

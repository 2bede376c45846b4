"""Packed spikes, a word for a neuron block: comparing rows, counting and walking along bits.

As in `vector`, each function is its own meaning, and kernels use the LLVM code below it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types

from spikemnist.kernels.elementwise import load
from spikemnist.kernels.intrinsics import lowered
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


def add_at_set_bits(row: Array, word: Any, value: Any) -> None:
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


def _compare(operator: str, context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Emit the code that compares a row with another, or with a number, into a word."""
    rows = Rows(context, builder, kinds[0].dtype, lanes=WIDTH)
    (left,), (right,) = (load(rows, *one) for one in zip(kinds, values, strict=True))
    floating = isinstance(kinds[0].dtype, types.Float)
    compare = builder.fcmp_ordered if floating else builder.icmp_unsigned
    return builder.bitcast(compare(operator, left, right), ir.IntType(WIDTH))


lowered(above, types.uint64)(partial(_compare, ">"))
lowered(equal, lambda row, value: types.uint64(row, row.dtype))(partial(_compare, "=="))


@lowered(add_at_set_bits)
def _add_at_set_bits(context: Any, builder: Any, kinds: Any, values: Any) -> None:
    rows = Rows(context, builder, kinds[0].dtype)
    address, number = rows.address(kinds[0], values[0]), rows.splat(values[2])
    lanes = rows.vector.count
    bits = builder.bitcast(values[1], ir.VectorType(ir.IntType(1), WIDTH))
    parts = []
    for part, zero in enumerate(rows.zeros()):
        order = [part * lanes + lane for lane in range(lanes)]
        index = ir.Constant(ir.VectorType(ir.IntType(32), lanes), order)
        parts.append(builder.select(builder.shuffle_vector(bits, bits, index), number, zero))
    rows.store(rows.add(rows.load(address), parts), address)


@lowered(lowest_bit, lambda word: types.int64(types.uint64))
def _lowest_bit(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))


@lowered(drop_lowest_bit, lambda word: types.uint64(types.uint64))
def _drop_lowest_bit(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.and_(values[0], builder.sub(values[0], ir.Constant(values[0].type, 1)))


@lowered(count_bits, lambda word: types.int64(types.uint64))
def _count_bits(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.ctpop(values[0])

"""Packed spikes, a word for a neuron block: comparing rows, counting and iterating over bits.

As in `vector`, each function is written in Python, and kernels use the LLVM code for it instead.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from spikemnist._tensors import Array
from spikemnist.kernels.elementwise import row_of
from spikemnist.kernels.intrinsics import lowered
from spikemnist.kernels.registers import WIDTH, Rows


def above(row: Array, bound: Array) -> Any:
    """Return the word whose bit j tells whether ``row[j] > bound[j]``."""
    return _word(row > bound)


def equal(row: Array, value: Any) -> Any:
    """Return the word whose bit j tells whether ``row[j] == value``."""
    return _word(row == value)


def lowest_bit(word: np.uint64) -> int:
    """Return the position of the lowest bit that is set; `WIDTH` if there is none."""
    return (int(word) & -int(word)).bit_length() - 1 if word else WIDTH


def drop_lowest_bit(word: np.uint64) -> np.uint64:
    """Return the word without its lowest bit; 0 remains 0."""
    rest: np.uint64 = np.uint64(int(word) & (int(word) - 1))
    return rest


def count_bits(word: np.uint64) -> int:
    """Return the number of bits that are set."""
    return int(word).bit_count()


def _word(bits: Array) -> Any:
    return np.packbits(bits, bitorder="little").view(np.uint64)[0]


def word_of(builder: Any, bits: Any) -> Any:
    """Emit the code that makes a word of a vector of bits."""
    number = builder.bitcast(bits, ir.IntType(bits.type.count))
    return builder.zext(number, ir.IntType(WIDTH)) if bits.type.count < WIDTH else number


def _compare(operator: str, context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Emit the code that compares a row with another row or a number; return the word."""
    rows = Rows(context, builder, kinds[0].dtype)
    is_float = isinstance(kinds[0].dtype, types.Float)
    compare = builder.fcmp_ordered if is_float else builder.icmp_unsigned
    left, right = (row_of(rows, *pair) for pair in zip(kinds, values, strict=True))
    return word_of(builder, compare(operator, left, right))


lowered(above, types.uint64)(partial(_compare, ">"))
lowered(equal, lambda row, value: types.uint64(row, row.dtype))(partial(_compare, "=="))


@lowered(lowest_bit, lambda word: types.int64(types.uint64))
def _lowest_bit(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))


@lowered(drop_lowest_bit, lambda word: types.uint64(types.uint64))
def _drop_lowest_bit(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.and_(values[0], builder.sub(values[0], ir.Constant(values[0].type, 1)))


@lowered(count_bits, lambda word: types.int64(types.uint64))
def _count_bits(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.ctpop(values[0])

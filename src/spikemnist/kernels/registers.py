"""Rows of numbers in vector registers: the basis of this package's LLVM code.

A *row* is `WIDTH` numbers, one for each neuron of a block, and starts on a multiple of 64 bytes.
A *lane* is the place of one number in a vector register.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.np.arrayobj import make_array

from spikemnist._tensors import Array
from spikemnist.kernels.intrinsics import lowered

WIDTH = 64
"""Neurons of a block: as many as a machine word has bits, so one word packs the spikes of a row."""


def vector_bytes(triple: str, features: str) -> int:
    """Return the bytes of a vector register of an LLVM target with features such as ``+avx2``."""
    on = features.split(",")
    if triple.startswith("x86_64") and "+avx512f" in on:
        return 64
    return 32 if triple.startswith("x86_64") and ("+avx" in on or "+avx2" in on) else 16


_TRIPLE, _, _FEATURES = cpu_target.target_context.codegen().magic_tuple()

VECTOR_BYTES = vector_bytes(_TRIPLE, _FEATURES)
"""Bytes of a vector register of the processor that kernels are compiled for."""

STRIP = 8
"""Registers of a strip, the part of a row that is summed at once. With the rows that are added to
it, it takes three times as many; NEON has 32."""

INDEX: Any = cgutils.intp_t

BYTE: Any = ir.IntType(8)


class Rows:
    """LLVM code for rows of arrays, or for ``width`` of their numbers, from number ``first`` on.

    A row is one vector, which LLVM divides among the registers of the processor.
    """

    def __init__(
        self, context: Any, builder: Any, dtype: Any, width: int = WIDTH, first: int = 0
    ) -> None:
        self.context: Any = context
        self.builder: Any = builder
        self.dtype: Any = dtype
        self.size: int = dtype.bitwidth // 8
        self.offset: Any = ir.Constant(INDEX, first * self.size)
        self.vector: Any = ir.VectorType(context.get_value_type(dtype), width)

    def address(self, kind: Any, value: Any) -> Any:
        """Return the address of the first number of an array, or of a row that `at` returned."""
        if isinstance(kind, types.Array):
            value = make_array(kind)(self.context, self.builder, value).data
        return self.builder.bitcast(value, BYTE.as_pointer())

    def of_table(self, table: Any, index: Any) -> Any:
        """Return the address of row ``index`` of the table at address ``table``."""
        offset = self.builder.mul(index, ir.Constant(INDEX, WIDTH * self.size))
        return self.builder.gep(table, [offset], inbounds=True, source_etype=BYTE)

    # The code promises only the alignment of an element: a misaligned row is slow, not wrong.

    def load(self, row: Any) -> Any:
        """Return the row at an address."""
        return self.builder.load(self._place(row), align=self.size, typ=self.vector)

    def store(self, value: Any, row: Any) -> None:
        """Write a row."""
        self.builder.store(value, self._place(row), align=self.size)

    def _place(self, row: Any) -> Any:
        place = self.builder.gep(row, [self.offset], inbounds=True, source_etype=BYTE)
        return self.builder.bitcast(place, self.vector.as_pointer())

    def strips(self) -> list[Rows]:
        """Return the code for each strip of a row, of at most `STRIP` registers."""
        width = min(self.vector.count, STRIP * VECTOR_BYTES // self.size)
        places = range(0, self.vector.count, width)
        return [Rows(self.context, self.builder, self.dtype, width, first) for first in places]

    def zeros(self) -> Any:
        """Return a row of zeros."""
        return ir.Constant(self.vector, [0.0] * self.vector.count)

    def loop(self, begin: Any, end: Any, step: int, value: Any, body: Callable[..., Any]) -> Any:
        """Emit a loop of ``value = body(index, value)`` over begin..end, and return the last value.

        The value is a row, or None.
        """
        builder, before = self.builder, self.builder.block
        head, inside, after = (builder.append_basic_block(name) for name in ("head", "in", "out"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(INDEX)
        index.add_incoming(begin, before)
        state = None if value is None else builder.phi(self.vector)
        if state is not None:
            state.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", index, end), inside, after)
        builder.position_at_end(inside)
        new = body(index, state)
        index.add_incoming(builder.add(index, ir.Constant(INDEX, step)), builder.block)
        if state is not None:
            state.add_incoming(new, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return state


def splat(builder: Any, number: Any, count: int) -> Any:
    """Emit the code that puts a number into all lanes of a vector."""
    empty = ir.Constant(ir.VectorType(number.type, count), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, lanes([0] * count))


def lanes(order: Sequence[int]) -> Any:
    """Return the numbers of the lanes that a shuffle takes."""
    return ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))


def call(builder: Any, name: str, *vectors: Any) -> Any:
    """Emit a call of an LLVM function of vectors, such as ``exp``."""
    kind = vectors[0].type
    element = "f32" if kind.element == ir.FloatType() else "f64"
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * len(vectors)),
        f"llvm.{name}.v{kind.count}{element}",
    )
    return builder.call(function, vectors)


def at(table: Array, index: int) -> Array:
    """Return row ``index`` of a table ``[rows, WIDTH]``.

    In compiled code this is a bare address, so the table must outlive it. A view of the array would
    count its references with an atomic addition, which costs more than the arithmetic on a row.
    """
    row: Array = table[index]
    return row


def clear(row: Array) -> None:
    """Set a row to zero."""
    row[:] = 0


@lowered(at, lambda table, index: types.CPointer(table.dtype)(table, types.intp))
def _at(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    rows = Rows(context, builder, kinds[0].dtype)
    row = rows.of_table(rows.address(kinds[0], values[0]), values[1])
    return builder.bitcast(row, context.get_value_type(kinds[0].dtype).as_pointer())


@lowered(clear)
def _clear(context: Any, builder: Any, kinds: Any, values: Any) -> None:
    rows = Rows(context, builder, kinds[0].dtype)
    rows.store(rows.zeros(), rows.address(kinds[0], values[0]))

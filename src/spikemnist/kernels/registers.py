"""Rows of numbers in vector registers: what LLVM code of ours is made of.

A *row* is `WIDTH` numbers, one for each neuron of a block, and starts on a multiple of 64 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np.arrayobj import make_array

from spikemnist.kernels.intrinsics import lowered

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

WIDTH = 64
"""Neurons of a block: as many as a machine word has bits, so packed spikes of a row are one."""

VECTOR_BYTES = 64
"""Bytes of the widest vector register; LLVM splits it where the processor's are narrower."""

INDEX = cgutils.intp_t

BYTE = ir.IntType(8)


class Rows:
    """LLVM code over the rows of arrays, as vectors of at most `VECTOR_BYTES`.

    Or over the first ``width`` numbers of each row, or as vectors of so many ``lanes``.
    """

    def __init__(
        self, context: Any, builder: Any, dtype: Any, width: int = WIDTH, lanes: int = 0
    ) -> None:
        self.context, self.builder = context, builder
        self.size = dtype.bitwidth // 8
        lanes = lanes or VECTOR_BYTES // self.size
        self.vector = ir.VectorType(context.get_value_type(dtype), lanes)
        self.count = width // lanes

    def address(self, kind: Any, value: Any) -> Any:
        """Return the address of the first number of an array, or of a row that `at` returned."""
        if isinstance(kind, types.Array):
            value = make_array(kind)(self.context, self.builder, value).data
        return self.builder.bitcast(value, BYTE.as_pointer())

    def of_table(self, table: Any, index: Any) -> Any:
        """Return the address of row ``index`` of the table at address ``table``."""
        offset = self.builder.mul(index, ir.Constant(INDEX, WIDTH * self.size))
        return self.builder.gep(table, [offset], inbounds=True, source_etype=BYTE)

    def _parts(self, row: Any) -> list[Any]:
        step = self.vector.count * self.size
        places = [ir.Constant(INDEX, part * step) for part in range(self.count)]
        parts = [
            self.builder.gep(row, [place], inbounds=True, source_etype=BYTE) for place in places
        ]
        return [self.builder.bitcast(part, self.vector.as_pointer()) for part in parts]

    def load(self, row: Any) -> list[Any]:
        """Return a row as vectors."""
        # Only the alignment of an element is promised: a misaligned row is slow, not wrong.
        return [
            self.builder.load(part, align=self.size, typ=self.vector) for part in self._parts(row)
        ]

    def store(self, values: list[Any], row: Any) -> None:
        """Write a row."""
        for value, part in zip(values, self._parts(row), strict=True):
            self.builder.store(value, part, align=self.size)

    def zeros(self) -> list[Any]:
        """Return a row of zeros."""
        zero = ir.Constant(self.vector, [0.0] * self.vector.count)
        return [zero] * self.count

    def splat(self, number: Any) -> Any:
        """Return a vector with the same number in all lanes."""
        first = self.builder.insert_element(
            ir.Constant(self.vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0)
        )
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.vector.count), None)
        return self.builder.shuffle_vector(first, first, lanes)

    def add(self, left: list[Any], right: list[Any]) -> list[Any]:
        """Return the sum of two rows."""
        return [self.builder.fadd(a, b) for a, b in zip(left, right, strict=True)]

    def loop(
        self, begin: Any, end: Any, step: int, values: list[Any], body: Callable[..., list[Any]]
    ) -> list[Any]:
        """Run ``values = body(index, values)`` for index in begin..end; they stay in registers."""
        builder, before = self.builder, self.builder.block
        head, inside, after = (builder.append_basic_block(name) for name in ("head", "in", "out"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(INDEX)
        index.add_incoming(begin, before)
        carried = [builder.phi(self.vector) for _ in values]
        for phi, value in zip(carried, values, strict=True):
            phi.add_incoming(value, before)
        builder.cbranch(builder.icmp_signed("<", index, end), inside, after)
        builder.position_at_end(inside)
        new = body(index, carried)
        index.add_incoming(builder.add(index, ir.Constant(INDEX, step)), builder.block)
        for phi, value in zip(carried, new, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return carried


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

    A view of an array counts its references with an atomic addition, which costs more than the
    arithmetic on a row. In compiled code this is an address: the table must outlive it.
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

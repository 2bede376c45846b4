"""Arithmetic on rows that is written once, for NumPy and for vector registers.

`rowwise` turns a formula over numbers into an operation on rows of `WIDTH` of them. Where
compilation is switched off the formula runs on NumPy arrays; in kernels it is traced once, with
`Vector` in the place of arrays, into straight LLVM code without loops, aliasing checks or calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from spikemnist.kernels.registers import INDEX, Rows, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


class Vector:
    """A vector register while a formula is traced: operators emit instructions."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _binary(self, operation: str, left: Any, right: Any) -> Vector:
        left, right = (self._value(side) for side in (left, right))
        return Vector(self.builder, getattr(self.builder, operation)(left, right))

    def _value(self, other: Any) -> Any:
        if isinstance(other, Vector):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * self.value.type.count)

    def __add__(self, other: Any) -> Vector:
        return self._binary("fadd", self, other)

    def __radd__(self, other: Any) -> Vector:
        return self._binary("fadd", other, self)

    def __sub__(self, other: Any) -> Vector:
        return self._binary("fsub", self, other)

    def __mul__(self, other: Any) -> Vector:
        return self._binary("fmul", self, other)

    def __rtruediv__(self, other: Any) -> Vector:
        return self._binary("fdiv", other, self)

    def __truediv__(self, other: Any) -> Vector:
        return self._binary("fdiv", self, other)

    def __neg__(self) -> Vector:
        return Vector(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Vector:
        return self.call("fabs")

    def __gt__(self, other: Any) -> Vector:
        return Vector(self.builder, self.builder.fcmp_ordered(">", self.value, self._value(other)))

    def __lt__(self, other: Any) -> Vector:
        return Vector(self.builder, self.builder.fcmp_ordered("<", self.value, self._value(other)))

    def call(self, name: str) -> Vector:
        """Return an LLVM function of each number."""
        kind = self.value.type
        bits = 32 if kind.element == ir.FloatType() else 64
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(kind, [kind]),
            f"llvm.{name}.v{kind.count}f{bits}",
        )
        return Vector(self.builder, self.builder.call(function, [self.value]))


def where(condition: Any, value: Any, other: Any) -> Any:
    """Return ``value`` where the condition holds, else ``other``."""
    if not isinstance(condition, Vector):
        return np.where(condition, value, other)
    like = next(side for side in (value, other) if isinstance(side, Vector))
    sides = [like._value(side) for side in (value, other)]
    return Vector(like.builder, like.builder.select(condition.value, *sides))


def exp(x: Any) -> Any:
    """Return the exponential."""
    return x.call("exp") if isinstance(x, Vector) else np.exp(x)


def rowwise(formula: Callable[..., Any]) -> Callable[..., None]:
    """Return ``operation(out, *arguments)`` that writes the formula of the arguments to a row.

    Arguments are rows or numbers. Where the formula returns several results, as many rows to
    write come first.
    """

    def operation(*arguments: Any) -> None:
        _interpret(formula, arguments)

    def trace(context: Any, builder: Any, kinds: Any, values: Any) -> None:
        _trace((formula,), None, context, builder, kinds, values)

    return traced(operation, trace)


def chosen(formulas: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    """Return ``operation(which, out, *arguments)``: `rowwise` with one of several formulas."""

    def operation(which: int, *arguments: Any) -> None:
        _interpret(formulas[which], arguments)

    def trace(context: Any, builder: Any, kinds: Any, values: Any) -> None:
        _trace(formulas, values[0], context, builder, kinds[1:], values[1:])

    return traced(operation, trace)


def backwards(formulas: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    """Return an operation that goes back in time with two rows that stay in registers.

    It is ``operation(which, steps, out, places, carried, total, rows, factors, *constants)``. With
    one of several formulas, and from the last timestep to the first, it sets the row
    ``out[places[t]]`` and the rows ``carried`` and ``total`` to
    ``formula(carried, total, rows[t], factors[t], *constants)``.
    """

    def operation(
        which: int,
        steps: int,
        out: Array,
        places: Array,
        carried: Array,
        total: Array,
        rows: Array,
        factors: Array,
        *constants: Any,
    ) -> None:
        for t in reversed(range(steps)):
            result = formulas[which](carried, total, rows[t], factors[t], *constants)
            out[places[t]], carried[:], total[:] = result

    def trace(context: Any, builder: Any, kinds: Any, values: Any) -> None:
        _trace_backwards(formulas, context, builder, kinds, values)

    return traced(operation, trace)


def traced(operation: Callable[..., None], trace: Callable[..., None]) -> Callable[..., None]:
    """Give an operation its code in kernels: ``trace(context, builder, kinds, values)``."""

    @intrinsic  # type: ignore[untyped-decorator]
    def code(typing: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            trace(context, builder, list(arguments), cgutils.unpack_tuple(builder, values[0]))
            return context.get_dummy_value()

        return types.void(arguments), generate

    overload(operation)(lambda *arguments: lambda *arguments: code(arguments))
    return operation


def _interpret(formula: Callable[..., Any], arguments: Sequence[Any]) -> None:
    inputs = formula.__code__.co_argcount
    outputs = arguments[:-inputs]
    results = formula(*arguments[-inputs:])
    for out, result in zip(outputs, results if len(outputs) > 1 else [results], strict=True):
        out[:] = result


def _trace(formulas: Any, which: Any, context: Any, builder: Any, kinds: Any, values: Any) -> None:
    inputs = formulas[0].__code__.co_argcount
    rows = Rows(context, builder, kinds[0].dtype)
    loaded = [load(rows, *one) for one in zip(kinds[-inputs:], values[-inputs:], strict=True)]
    found = results(formulas, which, builder, loaded)
    for kind, value, result in zip(kinds, values, found, strict=False):
        rows.store(result, rows.address(kind, value))


def _trace_backwards(formulas: Any, context: Any, builder: Any, kinds: Any, values: Any) -> None:
    which, kinds, values = values[0], kinds[1:], values[1:]
    rows = Rows(context, builder, kinds[1].dtype)
    steps, (places, factors) = (
        values[0],
        (numbers_of(context, builder, kinds[index], values[index]) for index in (2, 6)),
    )
    out, carried, total, table = (rows.address(kinds[i], values[i]) for i in (1, 3, 4, 5))
    constants = [load(rows, *one) for one in zip(kinds[7:], values[7:], strict=True)]
    last = builder.sub(steps, ir.Constant(INDEX, 1))

    def body(index: Any, states: list[Any]) -> list[Any]:
        t = builder.sub(last, index)
        place, factor = (data.load(t) for data in (places, factors))
        given = [
            states[: rows.count],
            states[rows.count :],
            rows.load(rows.of_table(table, t)),
            [rows.splat(factor)] * rows.count,
            *constants,
        ]
        result, *new = results(formulas, which, builder, given)
        rows.store(result, rows.of_table(out, place))
        return [*new[0], *new[1]]

    states = [*rows.load(carried), *rows.load(total)]
    states = rows.loop(ir.Constant(INDEX, 0), steps, 1, states, body)
    rows.store(states[: rows.count], carried)
    rows.store(states[rows.count :], total)


def load(rows: Rows, kind: Any, value: Any) -> list[Any]:
    """Return a row, or a number in all places of one."""
    if isinstance(kind, (types.Array, types.CPointer)):
        return rows.load(rows.address(kind, value))
    return [rows.splat(value)] * rows.count


def results(
    formulas: Sequence[Callable[..., Any]], which: Any, builder: Any, rows: list[list[Any]]
) -> list[list[Any]]:
    """Emit one of several formulas of rows, all of them with a choice; return the rows it makes.

    The choice is made anew at each place: a branch that always goes the same way costs next to
    nothing, where a loop for each formula would go through the compiler once for each.
    """
    if len(formulas) == 1:
        return _emit(formulas[0], builder, rows)
    after = builder.append_basic_block("chosen")
    blocks = [builder.append_basic_block("choice") for _ in formulas]
    switch = builder.switch(which, blocks[-1])
    found = []
    for code, (formula, block) in enumerate(zip(formulas, blocks, strict=True)):
        if block is not blocks[-1]:
            switch.add_case(ir.Constant(which.type, code), block)
        builder.position_at_end(block)
        found.append(_emit(formula, builder, rows))
        builder.branch(after)
    builder.position_at_end(after)
    return [
        [_one_of(builder, blocks, values) for values in zip(*row, strict=True)]
        for row in zip(*found, strict=True)
    ]


def _one_of(builder: Any, blocks: list[Any], values: Sequence[Any]) -> Any:
    phi = builder.phi(values[0].type)
    for value, block in zip(values, blocks, strict=True):
        phi.add_incoming(value, block)
    return phi


def _emit(formula: Any, builder: Any, rows: list[list[Any]]) -> list[list[Any]]:
    found = []
    for part in zip(*rows, strict=True):
        result = formula(*(Vector(builder, value) for value in part))
        found.append(result if isinstance(result, tuple) else (result,))
    return [[one.value for one in row] for row in zip(*found, strict=True)]

"""Arithmetic on rows that is written once, for NumPy and for vector registers.

`elementwise` turns a formula over numbers into an operation on rows of `WIDTH` of them. Where
compilation is switched off the formula runs on NumPy arrays; in kernels it is lowered once, with
`Vector` in the place of arrays, into straight LLVM code without loops, aliasing checks or calls.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types

from spikemnist.kernels.intrinsics import lowered
from spikemnist.kernels.registers import Rows, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]


def _operator(name: str, *, swapped: bool = False) -> Callable[[Vector, Any], Vector]:
    """Return the method of an operator: an instruction, or a comparison such as ``>``."""

    def method(self: Vector, other: Any) -> Vector:
        sides = [other, self] if swapped else [self, other]
        left, right = (self.value_of(side) for side in sides)
        if name in "<>":
            return Vector(self.builder, self.builder.fcmp_ordered(name, left, right))
        return Vector(self.builder, getattr(self.builder, name)(left, right))

    return method


class Vector:
    """A vector register while a formula is lowered: operators emit instructions."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def value_of(self, other: Any) -> Any:
        """Return the value of a vector, or of one with a number in all lanes."""
        if isinstance(other, Vector):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * self.value.type.count)

    def __neg__(self) -> Vector:
        return Vector(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Vector:
        return self.call("fabs")

    def call(self, name: str) -> Vector:
        """Return an LLVM function of each number."""
        return Vector(self.builder, call(self.builder, name, self.value))

    __add__, __radd__ = _operator("fadd"), _operator("fadd", swapped=True)
    __sub__, __mul__ = _operator("fsub"), _operator("fmul")
    __truediv__, __rtruediv__ = _operator("fdiv"), _operator("fdiv", swapped=True)
    __gt__, __lt__ = _operator(">"), _operator("<")


def where(condition: Any, value: Any, other: Any) -> Any:
    """Return ``value`` where the condition holds, else ``other``."""
    if not isinstance(condition, Vector):
        return np.where(condition, value, other)
    like = next(side for side in (value, other) if isinstance(side, Vector))
    sides = [like.value_of(side) for side in (value, other)]
    return Vector(like.builder, like.builder.select(condition.value, *sides))


def exp(x: Any) -> Any:
    """Return the exponential."""
    return (
        Vector(x.builder, call(x.builder, "exp", x.value)) if isinstance(x, Vector) else np.exp(x)
    )


def elementwise(formula: Callable[..., Any]) -> Callable[..., None]:
    """Return ``operation(out, *arguments)`` that writes the formula of the arguments to a row.

    Arguments are rows or numbers. Where the formula returns several results, as many rows to
    write come first.
    """

    def operation(*arguments: Any) -> None:
        _interpret(formula, arguments)

    lowered(operation)(partial(_write_row, (formula,), None))
    return operation


def switch(formulas: Sequence[Callable[..., Any]]) -> Callable[..., None]:
    """Return ``operation(which, out, *arguments)``: `elementwise` with one of several formulas."""

    def operation(which: int, *arguments: Any) -> None:
        _interpret(formulas[which], arguments)

    @lowered(operation)
    def code(context: Any, builder: Any, kinds: Any, values: Any) -> None:
        _write_row(formulas, values[0], context, builder, kinds[1:], values[1:])

    return operation


def _interpret(formula: Callable[..., Any], arguments: Sequence[Any]) -> None:
    inputs = formula.__code__.co_argcount
    outputs = arguments[:-inputs]
    results = formula(*arguments[-inputs:])
    for out, result in zip(outputs, results if len(outputs) > 1 else [results], strict=True):
        out[:] = result


def _write_row(
    formulas: Any, which: Any, context: Any, builder: Any, kinds: Any, values: Any
) -> None:
    inputs = formulas[0].__code__.co_argcount
    rows = Rows(context, builder, kinds[0].dtype)
    loaded = [load(rows, *one) for one in zip(kinds[-inputs:], values[-inputs:], strict=True)]
    found = results(formulas, which, builder, loaded)
    for kind, value, result in zip(kinds, values, found, strict=False):
        rows.store(result, rows.address(kind, value))


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
    after = builder.append_basic_block("after")
    blocks = [builder.append_basic_block("choice") for _ in formulas]
    cases = builder.switch(which, blocks[-1])
    found = []
    for code, (formula, block) in enumerate(zip(formulas, blocks, strict=True)):
        if block is not blocks[-1]:
            cases.add_case(ir.Constant(which.type, code), block)
        builder.position_at_end(block)
        found.append(_emit(formula, builder, rows))
        builder.branch(after)
    builder.position_at_end(after)

    def one_of(values: Sequence[Any]) -> Any:
        phi = builder.phi(values[0].type)
        for value, block in zip(values, blocks, strict=True):
            phi.add_incoming(value, block)
        return phi

    return [
        [one_of(values) for values in zip(*row, strict=True)] for row in zip(*found, strict=True)
    ]


def _emit(formula: Any, builder: Any, rows: list[list[Any]]) -> list[list[Any]]:
    found = []
    for part in zip(*rows, strict=True):
        result = formula(*(Vector(builder, value) for value in part))
        found.append(result if isinstance(result, tuple) else (result,))
    return [[one.value for one in row] for row in zip(*found, strict=True)]


@elementwise
def add(left: Any, right: Any) -> Any:
    """Return the sum of two rows."""
    return left + right

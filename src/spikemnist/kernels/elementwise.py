"""Arithmetic on rows that is written once, for NumPy and for vector registers.

`elementwise` turns a formula of numbers into an operation on rows of `WIDTH` numbers. With
compilation switched off, the formula runs on NumPy arrays. In kernels it is lowered once, with
`Vector` in place of arrays, to straight LLVM code without loops, aliasing checks or calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from spikemnist.kernels.intrinsics import lowered
from spikemnist.kernels.registers import Rows, call, splat


def _operator(name: str, *, swapped: bool = False) -> Callable[[Vector, Any], Vector]:
    """Return the method for an operator: an instruction, or a comparison such as ``>``."""

    def method(self: Vector, other: Any) -> Vector:
        sides = [other, self] if swapped else [self, other]
        left, right = (self.value_of(side) for side in sides)
        if name in "<>":
            return Vector(self.builder, self.builder.fcmp_ordered(name, left, right))
        return Vector(self.builder, getattr(self.builder, name)(left, right))

    return method


class Vector:
    """Row in a formula that is being lowered: its operators emit instructions."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder: Any = builder
        self.value: Any = value

    def value_of(self, other: Any) -> Any:
        """Return the value of a vector, or of a number repeated in all lanes."""
        if isinstance(other, Vector):
            return other.value
        return ir.Constant(self.value.type, [float(other)] * self.value.type.count)

    def __neg__(self) -> Vector:
        return Vector(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Vector:
        return self.call("fabs")

    def call(self, name: str) -> Vector:
        """Apply an LLVM function to each number."""
        return Vector(self.builder, call(self.builder, name, self.value))

    __add__, __radd__ = _operator("fadd"), _operator("fadd", swapped=True)
    __sub__, __mul__ = _operator("fsub"), _operator("fmul")
    __truediv__, __rtruediv__ = _operator("fdiv"), _operator("fdiv", swapped=True)
    __gt__, __lt__ = _operator(">"), _operator("<")


def where(condition: Any, value: Any, other: Any) -> Any:
    """Return ``value`` where the condition holds, else ``other``."""
    if not isinstance(condition, Vector):
        return np.where(condition, value, other)
    vector = next(side for side in (value, other) if isinstance(side, Vector))
    sides = [vector.value_of(side) for side in (value, other)]
    return Vector(vector.builder, vector.builder.select(condition.value, *sides))


def exp(x: Any) -> Any:
    """Return the exponential."""
    return (
        Vector(x.builder, call(x.builder, "exp", x.value)) if isinstance(x, Vector) else np.exp(x)
    )


def elementwise(formula: Callable[..., Any]) -> Callable[..., None]:
    """Return ``operation(out, *arguments)``, which writes a formula of the arguments to a row.

    Arguments are rows or numbers. A formula with several results takes as many output rows first.
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
    arguments = list(zip(kinds, values, strict=True))
    targets = [rows.address(*argument) for argument in arguments[:-inputs]]

    def write(formula: Callable[..., Any]) -> list[Any]:
        sources = [row_of(rows, *argument) for argument in arguments[-inputs:]]
        for target, value in zip(targets, results(formula, builder, sources), strict=True):
            rows.store(value, target)
        return []

    branch(builder, which, [partial(write, formula) for formula in formulas])


def row_of(rows: Rows, kind: Any, value: Any) -> Any:
    """Emit the code that loads a row, or that repeats a number."""
    if isinstance(kind, (types.Array, types.CPointer)):
        return rows.load(rows.address(kind, value))
    return splat(rows.builder, value, rows.vector.count)


def results(formula: Callable[..., Any], builder: Any, values: Sequence[Any]) -> list[Any]:
    """Emit the code of a formula; return its results."""
    outputs = formula(*(Vector(builder, value) for value in values))
    return [output.value for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def branch(builder: Any, which: Any, pieces: Sequence[Callable[[], list[Any]]]) -> list[Any]:
    """Emit pieces of code and a branch to one of them; return the results of the chosen piece.

    The branch is taken anew at each place: one that always goes the same way costs next to nothing,
    whereas a loop for each formula would be compiled separately.
    """
    if len(pieces) == 1:
        return pieces[0]()
    after = builder.append_basic_block("after")
    blocks = [builder.append_basic_block("choice") for _ in pieces]
    cases, outputs = builder.switch(which, blocks[-1]), []
    for code, (emit, block) in enumerate(zip(pieces, blocks, strict=True)):
        if block is not blocks[-1]:
            cases.add_case(ir.Constant(which.type, code), block)
        builder.position_at_end(block)
        outputs.append(emit())
        builder.branch(after)
    builder.position_at_end(after)
    phis = [builder.phi(value.type) for value in outputs[0]]
    for values, block in zip(outputs, blocks, strict=True):
        for phi, value in zip(phis, values, strict=True):
            phi.add_incoming(value, block)
    return phis


@elementwise
def add(left: Any, right: Any) -> Any:
    """Return the sum of two rows."""
    return left + right

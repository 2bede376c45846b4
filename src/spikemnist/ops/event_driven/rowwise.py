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

from spikemnist.ops.event_driven.registers import Rows

if TYPE_CHECKING:
    from collections.abc import Callable

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
        inputs = formula.__code__.co_argcount
        outputs, inputs_ = arguments[:-inputs], arguments[-inputs:]
        results = formula(*inputs_)
        for out, result in zip(outputs, results if len(outputs) > 1 else [results], strict=True):
            out[:] = result

    @intrinsic  # type: ignore[untyped-decorator]
    def code(typing: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            parts = cgutils.unpack_tuple(builder, values[0])
            _trace(formula, context, builder, list(arguments), parts)
            return context.get_dummy_value()

        return types.void(arguments), generate

    overload(operation)(lambda *arguments: lambda *arguments: code(arguments))
    return operation


def _trace(formula: Any, context: Any, builder: Any, kinds: Any, values: Any) -> None:
    inputs = formula.__code__.co_argcount
    rows = Rows(context, builder, kinds[0].dtype)
    loaded = []
    for kind, value in zip(kinds[-inputs:], values[-inputs:], strict=True):
        if isinstance(kind, (types.Array, types.CPointer)):
            loaded.append(rows.load(rows.address(kind, value)))
        else:
            loaded.append([rows.splat(value)] * rows.count)
    results = []
    for part in zip(*loaded, strict=True):
        result = formula(*(Vector(builder, value) for value in part))
        results.append(result if isinstance(result, tuple) else (result,))
    for index, kind in enumerate(kinds[:-inputs]):
        address = rows.address(kind, values[index])
        rows.store([result[index].value for result in results], address)

"""A kernel in all threads of an OpenMP team, as compiled code sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from spikemnist.kernels.tickets import FORK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_LONG = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()
_BODY = ir.FunctionType(ir.VoidType(), [_BYTES])
_START = ir.FunctionType(
    ir.VoidType(), [_BODY.as_pointer(), _BYTES, ir.IntType(32), ir.IntType(32)]
)


def by_team(ticket: NDArray[Any]) -> Any:
    """Let a team do all of the kernel that begins with this; tell whether one did.

    The ticket says so: see `tickets`. Each thread of the team calls the kernel with the same
    arguments, and there the answer is no. Where nothing is compiled there are no teams.
    """
    return False


def _by_team(typing: Any, ticket: Any) -> Any:
    """Give the code of `by_team`, which is put right into the kernel, to know which one it is.

    So a kernel goes through the compiler once, where a function that calls it alone or in a team
    would take two more copies of it along.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(ticket)(context, builder, arguments[0]).data
        lanes, fork = (
            builder.gep(data, [ir.Constant(_LONG, i)], source_etype=_LONG) for i in (1, FORK)
        )
        address = builder.load(fork, typ=_LONG)
        nobody = ir.Constant(address.type, 0)
        shared = builder.icmp_unsigned("!=", address, nobody)
        with builder.if_then(shared):
            builder.store(nobody, fork)
            body, packed = _call_of(builder)
            function = builder.inttoptr(address, _START.as_pointer())
            count = builder.trunc(builder.load(lanes, typ=_LONG), ir.IntType(32))
            flags = ir.Constant(ir.IntType(32), 0)
            builder.call(function, [body, builder.bitcast(packed, _BYTES), count, flags])
        return shared

    return types.boolean(ticket), code


def _call_of(builder: Any) -> tuple[Any, Any]:
    """Return a C function that calls the kernel in which the builder is, and what it takes.

    The threads have the place for what the kernel returns in common: that is always nothing.
    """
    kernel = builder.function
    with builder.goto_entry_block():
        packed = builder.alloca(ir.ArrayType(_LONG, len(kernel.args)))
    for argument, place in _places(builder, packed, kernel.args):
        builder.store(argument, place)
    body = ir.Function(builder.module, _BODY, f"{kernel.name}.by_team")
    body.linkage = "internal"
    inside = ir.IRBuilder(body.append_basic_block("entry"))
    places = _places(inside, body.args[0], kernel.args)
    # Kernels raise nothing: there would be nobody to catch it.
    inside.call(kernel, [inside.load(place, typ=argument.type) for argument, place in places])
    inside.ret_void()
    return body, packed


def _places(builder: Any, packed: Any, arguments: Any) -> list[tuple[Any, Any]]:
    """Return each argument of a kernel, at most a word, and the address of its word."""
    words = builder.bitcast(packed, _LONG.as_pointer())
    numbers = [ir.Constant(_LONG, i) for i in range(len(arguments))]
    places = [builder.gep(words, [i], inbounds=True, source_etype=_LONG) for i in numbers]
    return [
        (argument, builder.bitcast(place, argument.type.as_pointer()))
        for argument, place in zip(arguments, places, strict=True)
    ]


if not config.DISABLE_JIT:
    by_team = intrinsic(_by_team)


def borrowed(arguments: tuple[Any, ...]) -> Any:
    """Return the arguments of a kernel as arrays that nobody counts references to.

    The caller of a kernel keeps them. In compiled code each view of an array, and each look into a
    tuple of them, would otherwise count with an atomic addition, and threads that count at the
    same place wait for each other.
    """
    return arguments


@intrinsic  # type: ignore[untyped-decorator]
def _borrowed_code(typing: Any, arguments: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        value = values[0]
        for place in _owners(context, arguments):
            value = builder.insert_value(value, ir.Constant(_BYTES, None), place)
        return value

    return arguments(arguments), code


def _owners(context: Any, kind: Any) -> Iterator[list[int]]:
    """Find where in a tuple of arrays is what counts their references."""
    if isinstance(kind, types.Array):
        yield [context.data_model_manager[kind].get_field_position("meminfo")]
    elif isinstance(kind, types.BaseTuple):
        for index, part in enumerate(kind):
            yield from ([index, *place] for place in _owners(context, part))


overload(borrowed)(lambda arguments: lambda arguments: _borrowed_code(arguments))

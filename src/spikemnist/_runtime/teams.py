"""A kernel in all threads of an OpenMP team, as compiled code sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = ir.IntType(8).as_pointer()
_BODY = ir.FunctionType(ir.VoidType(), [_BYTES])
_FORK = ir.FunctionType(ir.VoidType(), [_BODY.as_pointer(), _BYTES, ir.IntType(32), ir.IntType(32)])


def share(kernel: Callable[..., None], fork: int, threads: int, arguments: tuple[Any, ...]) -> None:
    """Call a kernel in each of so many threads, through the function at address ``fork``.

    The kernel's units of work are numbered, so that one thread alone does all of it: that is
    what happens where nothing is compiled.
    """
    kernel(*arguments)


@intrinsic  # type: ignore[untyped-decorator]
def _share_code(typing: Any, kernel: Any, fork: Any, threads: Any, arguments: Any) -> Any:
    of_kernel = kernel.get_call_type(typing, tuple(arguments), {})

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given = cgutils.unpack_tuple(builder, values[3])
        packed = cgutils.alloca_once(builder, ir.LiteralStructType([v.type for v in given]))
        for index, value in enumerate(given):
            builder.store(value, cgutils.gep_inbounds(builder, packed, 0, index))
        body = _body(context, builder, kernel, of_kernel, packed.type)
        function = builder.inttoptr(values[1], _FORK.as_pointer())
        count = builder.trunc(values[2], ir.IntType(32))
        flags = ir.Constant(ir.IntType(32), 0)
        builder.call(function, [body, builder.bitcast(packed, _BYTES), count, flags])
        return context.get_dummy_value()

    return types.void(kernel, types.intp, types.intp, arguments), code


def _body(context: Any, builder: Any, kernel: Any, signature: Any, packed: Any) -> Any:
    """Return a C function that unpacks the arguments and calls the kernel."""
    compiled = kernel.dispatcher.overloads[tuple(signature.args)]
    context.active_code_library.add_linking_library(compiled.library)
    name = f"{compiled.fndesc.mangled_name}.in_team"
    function = ir.Function(builder.module, _BODY, name)
    function.linkage = "internal"
    inside = ir.IRBuilder(function.append_basic_block("entry"))
    data = inside.bitcast(function.args[0], packed)
    arguments = [
        inside.load(cgutils.gep_inbounds(inside, data, 0, index))
        for index in range(len(signature.args))
    ]
    # Kernels raise nothing: there would be nobody to catch it.
    context.call_internal_no_propagate(inside, compiled.fndesc, signature, arguments)
    inside.ret_void()
    return function


overload(share)(
    lambda kernel, fork, threads, arguments: (
        lambda kernel, fork, threads, arguments: _share_code(kernel, fork, threads, arguments)
    )
)

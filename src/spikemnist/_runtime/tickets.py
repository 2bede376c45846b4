"""Who does which unit of work, as kernels see it: take the next one until none is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


def next_unit(ticket: NDArray[Any]) -> int:
    """Take the number of the next unit; no other thread gets the same one."""
    ticket[0] += 1
    return int(ticket[0]) - 1


@intrinsic  # type: ignore[untyped-decorator]
def _next_unit_code(typing: Any, ticket: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(ticket)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(ticket), code


overload(next_unit)(lambda ticket: lambda ticket: _next_unit_code(ticket))

"""Who does which unit of work, as kernels see it: take the next one until none is left.

A ticket is ``[numbers taken, lanes, units, fork]``. The units are cut into as many runs of
neighbours as there are lanes, one for each thread, and the numbers are dealt out to the lanes in
turn. So threads that keep step each work along a run of their own: neighbouring units share cache
lines, which travel slowly between cores. One that falls behind leaves its units to the others all
the same. ``fork`` is the address that `openmp.fork_address` gives, until a team of ``lanes``
threads has been formed, or 0 where there is to be none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from spikemnist._runtime.compiler import inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray


@inlined
def next_unit(ticket: NDArray[Any]) -> Any:
    """Take the next unit, which no other thread gets; the number of units when none is left."""
    lanes, units = ticket[1], ticket[2]
    run = -(-units // lanes)
    while True:
        number = take(ticket)
        unit = number % lanes * run + number // lanes
        if number >= lanes * run:
            return units
        if unit < units:  # the last run may be shorter
            return unit


def take(ticket: NDArray[Any]) -> Any:
    """Take the next number; no other thread gets the same one."""
    ticket[0] += 1
    return ticket[0] - 1


@intrinsic  # type: ignore[untyped-decorator]
def _take_code(typing: Any, ticket: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(ticket)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(ticket), code


overload(take)(lambda ticket: lambda ticket: _take_code(ticket))

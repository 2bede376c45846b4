"""Who does which unit of work, as kernels see it: take the next one until none is left.

The units are cut into runs of neighbours, a *lane* for each thread, which takes those of its own
lane in their order, and then what other lanes have left. So a thread that falls behind leaves its
units to the others; and where none does, a thread works on what the last kernel left in the cache
of its core, and so do torch's own operators, whose first thread has the first part as well.

A *ticket* is a row of a table with one row a lane::

    0        its lane
    1        lanes
    2        units
    3, 4     the addresses that `openmp.team_addresses` gives, until a team of that many threads has
             been formed, or 0 where there is to be none
    TAKEN    units of the lane that have been taken

All threads of a team hold the first row, and the runtime tells them their number; others hold the
row of their lane.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from spikemnist.kernels.compiler import inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORK, NUMBER = 3, 4

# A cache line has 8 numbers, on Apple's processors 16, wherever it begins: what is written shares
# none with anything else.
TAKEN, ROW = 24, 48

_LONG = ir.IntType(64)
_NUMBER = ir.FunctionType(ir.IntType(32), [])


def tickets(lanes: int, units: int, fork: int = 0, number: int = 0) -> NDArray[np.int64]:
    """Return a table of tickets, none of whose units has been taken."""
    table: NDArray[np.int64] = _unused(lanes, units, fork, number).copy()
    return table


@functools.lru_cache(maxsize=256)
def _unused(lanes: int, units: int, fork: int, number: int) -> NDArray[np.int64]:
    table = np.zeros((lanes, ROW), np.int64)
    table[:, 0] = range(lanes)
    table[:, 1:5] = lanes, units, fork, number
    return table


@inlined
def next_unit(ticket: NDArray[Any]) -> Any:
    """Take the next unit, which no other thread gets; the number of units when none is left."""
    lanes, units, own = ticket[1], ticket[2], own_lane(ticket)
    for step in range(lanes):
        lane = (own + step) % lanes
        unit = units * lane // lanes + take(ticket, lane)
        if unit < units * (lane + 1) // lanes:
            return unit
    return units


def own_lane(ticket: NDArray[Any]) -> Any:
    """Return the lane of this thread."""
    return ticket[0]


def take(ticket: NDArray[Any], lane: int) -> Any:
    """Take the next number of a lane; no other thread gets the same one."""
    table = ticket.base
    assert table is not None
    table[lane, TAKEN] += 1
    return table[lane, TAKEN] - 1


@intrinsic  # type: ignore[untyped-decorator]
def _own_lane_code(typing: Any, ticket: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(ticket)(context, builder, arguments[0]).data
        place = builder.gep(data, [ir.Constant(_LONG, NUMBER)], source_etype=_LONG)
        address = builder.load(place, typ=_LONG)
        row, before = builder.load(data, typ=_LONG), builder.block
        with builder.if_then(builder.icmp_unsigned("!=", address, ir.Constant(_LONG, 0))):
            function = builder.inttoptr(address, _NUMBER.as_pointer())
            number, inside = builder.zext(builder.call(function, []), _LONG), builder.block
        lane = builder.phi(_LONG)
        lane.add_incoming(row, before)
        lane.add_incoming(number, inside)
        return lane

    return types.int64(ticket), code


@intrinsic  # type: ignore[untyped-decorator]
def _take_code(typing: Any, ticket: Any, lane: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(ticket)(context, builder, arguments[0]).data
        rows = builder.sub(arguments[1], builder.load(data, typ=_LONG))
        place = builder.add(builder.mul(rows, ir.Constant(_LONG, ROW)), ir.Constant(_LONG, TAKEN))
        address = builder.gep(data, [place], source_etype=_LONG)
        return builder.atomic_rmw("add", address, ir.Constant(_LONG, 1), "monotonic")

    return types.int64(ticket, types.int64), code


overload(own_lane)(lambda ticket: lambda ticket: _own_lane_code(ticket))
overload(take)(lambda ticket, lane: lambda ticket, lane: _take_code(ticket, lane))

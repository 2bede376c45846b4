"""Share the work of a kernel among threads, here called *workers*.

A kernel runs once in each worker. Its *units* of work are numbered and cut into *runs* of
neighbours, one for each worker. A worker takes the units of its own run in order, then steals units
that others have left. So others finish the units of a worker that falls behind. If none falls
behind, each works on data that the last kernel left in the cache of its core. Torch's operators
share their work in the same order, with the first part on the first thread. Each unit writes memory
of its own, so the result depends neither on the number of workers nor on which of them runs a unit.

The threads are torch's if available (see `openmp`), else Python's: kernels release the
interpreter's lock. No second OpenMP runtime is loaded, and neither torch's nor Numba's thread
settings are changed.

A *work queue* is a row of a table with one row per worker::

    0        number of the worker
    1        number of workers
    2        number of units
    3, 4     the addresses from `openmp.team_addresses`, or 0 without a team; 3 is set to 0 once
             a team of that many threads is formed
    TAKEN    number of units of the worker's run that have been taken

All threads of a team hold the first row, and the runtime tells them their number; other workers
hold their own row.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types

from spikemnist._tensors import Array
from spikemnist.kernels import openmp
from spikemnist.kernels.compiler import inlined
from spikemnist.kernels.intrinsics import array_numbers, lowered

GRAIN, POOL_GRAIN = 1 << 16, 1 << 18
"""Operations, of about a nanosecond each, below which it does not pay to wake another thread of
torch's team, and of the pool."""

FORK, NUMBER = 3, 4

# A cache line has 8 numbers, on Apple's processors 16. Wherever the lines begin, a counter of taken
# units shares its line with nothing else.
TAKEN, ROW = 24, 48

_NO_POOL: tuple[int, ThreadPoolExecutor | None] = 0, None
_pool = _NO_POOL
"""Number of threads of the pool, and the pool."""


def parallel(
    kernel: Callable[..., None], units: int, *arguments: Any, work: int = POOL_GRAIN
) -> None:
    """Run a kernel over ``units`` units of work in at most ``torch.get_num_threads()`` threads.

    Returns when all work is done, also when the kernel raises.

    Parameters
    ----------
    kernel, units, arguments
        Kernel, number of units, and the arguments of the kernel behind its work queue.
    work
        Estimated operations of all units together; a small amount runs in the calling thread.
    """
    threads = torch.get_num_threads()
    interpreted = not hasattr(kernel, "py_func")  # then a queue is not atomic
    alone = threads == 1 or units < 2 or work < GRAIN or interpreted
    team = openmp.NO_TEAM if alone else openmp.team_addresses()
    if alone or (team == openmp.NO_TEAM and work < POOL_GRAIN):
        kernel(work_queues(1, units)[0], *arguments)
    elif team != openmp.NO_TEAM:
        # The whole team: for a smaller one the runtime would end the other threads.
        kernel(work_queues(threads, units, *team)[0], *arguments)
    else:
        _in_pool(kernel, work_queues(min(threads, units), units), *arguments)


def _in_pool(kernel: Callable[..., None], queues: Array, *arguments: Any) -> None:
    pool, held = _pool_of(len(queues) - 1), [arguments]

    def help_out(queue: Array) -> None:
        kernel(queue, *held[0])

    futures = [pool.submit(help_out, queue) for queue in queues[1:]]
    try:
        kernel(queues[0], *arguments)
    finally:
        # A helper that has not begun by now would find no unit left.
        started = [future for future in futures if not future.cancel()]
        failures = [future.exception() for future in started]
        # Cancelled calls wait in the pool's queue, and must not keep buffers alive there.
        held.clear()
    for failure in failures:
        if failure is not None:
            raise failure


def _pool_of(helpers: int) -> ThreadPoolExecutor:
    """Return a pool of at least ``helpers`` threads.

    A larger pool replaces the previous one, whose threads end as soon as no call uses it.
    """
    global _pool
    size, pool = _pool
    if pool is None or size < helpers:
        pool = ThreadPoolExecutor(helpers, "spikemnist")
        _pool = helpers, pool
    return pool


def _forget_pool() -> None:
    """Drop the pool in a forked child, such as a DataLoader's worker: it inherits no threads."""
    global _pool
    _pool = _NO_POOL


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def work_queues(workers: int, units: int, fork: int = 0, number: int = 0) -> Array:
    """Return a table of work queues, with all units still to be taken."""
    table: Array = _full_queues(workers, units, fork, number).copy()
    return table


@functools.lru_cache(maxsize=256)
def _full_queues(workers: int, units: int, fork: int, number: int) -> Array:
    table = np.zeros((workers, ROW), np.int64)
    table[:, 0] = range(workers)
    table[:, 1:5] = workers, units, fork, number
    return table


@inlined
def units_of(queue: Array) -> Iterator[Any]:
    """Take units from a work queue until none is left, and yield their numbers."""
    # Numba never releases the arrays that a generator was called with.
    return _units_of(borrowed(queue))


@inlined
def _units_of(queue: Array) -> Iterator[Any]:
    unit = next_unit(queue)
    while unit < queue[2]:
        yield unit
        unit = next_unit(queue)


@inlined
def next_unit(queue: Array) -> Any:
    """Take the next unit, which no other worker gets; return ``units`` if none is left."""
    workers, units, own = queue[1], queue[2], worker_number(queue)
    for step in range(workers):
        worker = (own + step) % workers
        unit = units * worker // workers + take(queue, worker)
        if unit < units * (worker + 1) // workers:
            return unit
    return units


def worker_number(queue: Array) -> Any:
    """Return the number of this worker."""
    return queue[0]


def take(queue: Array, worker: int) -> Any:
    """Take the next number of a worker's run; no other worker gets the same one."""
    table = queue.base
    assert table is not None
    table[worker, TAKEN] += 1
    return table[worker, TAKEN] - 1


def by_team(queue: Array) -> Any:
    """Run the calling kernel in a team, if its queue asks for one; return whether a team ran it.

    Each thread of the team calls the kernel with the same arguments, and there the result is False.
    Without compilation there are no teams.
    """
    return False


def borrowed(arguments: Any) -> Any:
    """Return an array, or a tuple of arguments of a kernel, without reference counts.

    The caller of the kernel keeps them alive. In compiled code each view of an array, and each
    access to a tuple of arrays, would otherwise count with an atomic addition, and threads that
    update the same count wait for each other.
    """
    return arguments


_LONG = ir.IntType(64)
_BYTES = ir.IntType(8).as_pointer()
_BODY = ir.FunctionType(ir.VoidType(), [_BYTES])
_START = ir.FunctionType(
    ir.VoidType(), [_BODY.as_pointer(), _BYTES, ir.IntType(32), ir.IntType(32)]
)
_NUMBER = ir.FunctionType(ir.IntType(32), [])


@lowered(worker_number, types.int64)
def _worker_number(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    queue = array_numbers(context, builder, kinds[0], values[0])
    address = queue.load(ir.Constant(_LONG, NUMBER))
    row, before = queue.load(ir.Constant(_LONG, 0)), builder.block
    with builder.if_then(builder.icmp_unsigned("!=", address, ir.Constant(_LONG, 0))):
        function = builder.inttoptr(address, _NUMBER.as_pointer())
        number, inside = builder.zext(builder.call(function, []), _LONG), builder.block
    worker = builder.phi(_LONG)
    worker.add_incoming(row, before)
    worker.add_incoming(number, inside)
    return worker


@lowered(take, lambda queue, worker: types.int64(queue, types.int64))
def _take(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    queue = array_numbers(context, builder, kinds[0], values[0])
    rows = builder.sub(values[1], queue.load(ir.Constant(_LONG, 0)))
    slot = builder.add(builder.mul(rows, ir.Constant(_LONG, ROW)), ir.Constant(_LONG, TAKEN))
    return builder.atomic_rmw(
        "add", queue.import_object(slot).first, ir.Constant(_LONG, 1), "monotonic"
    )


@lowered(by_team, types.boolean)
def _by_team(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Emit the code of `by_team` directly into the kernel, which it calls again.

    So a kernel is compiled once. A function that calls it alone or in a team would contain two more
    copies of it.
    """
    queue = array_numbers(context, builder, kinds[0], values[0])
    workers, fork = (queue.import_object(ir.Constant(_LONG, i)) for i in (1, FORK))
    address, nobody = fork.load(ir.Constant(_LONG, 0)), ir.Constant(_LONG, 0)
    shared = builder.icmp_unsigned("!=", address, nobody)
    with builder.if_then(shared):
        builder.store(nobody, fork.first)
        body, packed = _call_of(builder)
        function = builder.inttoptr(address, _START.as_pointer())
        count = builder.trunc(workers.load(ir.Constant(_LONG, 0)), ir.IntType(32))
        flags = ir.Constant(ir.IntType(32), 0)
        builder.call(function, [body, builder.bitcast(packed, _BYTES), count, flags])
    return shared


def _call_of(builder: Any) -> tuple[Any, Any]:
    """Return a C function that calls the kernel being built, and the packed arguments.

    The threads share the slot of the kernel's return value, which is always empty.
    """
    kernel = builder.function
    with builder.goto_entry_block():
        packed = builder.alloca(ir.ArrayType(_LONG, len(kernel.args)))
    for argument, slot in _slots(builder, packed, kernel.args):
        builder.store(argument, slot)
    body = ir.Function(builder.module, _BODY, f"{kernel.name}.by_team")
    body.linkage = "internal"
    inside = ir.IRBuilder(body.append_basic_block("entry"))
    slots = _slots(inside, body.args[0], kernel.args)
    # Kernels raise nothing: an exception could not be caught here.
    inside.call(kernel, [inside.load(slot, typ=argument.type) for argument, slot in slots])
    inside.ret_void()
    return body, packed


def _slots(builder: Any, packed: Any, arguments: Any) -> list[tuple[Any, Any]]:
    """Return each argument of a kernel, at most a word long, and the address of its word."""
    words = builder.bitcast(packed, _LONG.as_pointer())
    numbers = [ir.Constant(_LONG, i) for i in range(len(arguments))]
    slots = [builder.gep(words, [i], inbounds=True, source_etype=_LONG) for i in numbers]
    return [
        (argument, builder.bitcast(slot, argument.type.as_pointer()))
        for argument, slot in zip(arguments, slots, strict=True)
    ]


@lowered(borrowed, lambda arguments: arguments(arguments))
def _borrowed(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    value = values[0]
    for slot in _owners(context, kinds[0]):
        value = builder.insert_value(value, ir.Constant(_BYTES, None), slot)
    return value


def _owners(context: Any, kind: Any) -> Iterator[list[int]]:
    """Yield the positions of the reference counters in a tuple of arrays."""
    if isinstance(kind, types.Array):
        yield [context.data_model_manager[kind].get_field_position("meminfo")]
    elif isinstance(kind, types.BaseTuple):
        for index, part in enumerate(kind):
            yield from ([index, *slot] for slot in _owners(context, part))

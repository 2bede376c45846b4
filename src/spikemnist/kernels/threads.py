"""How kernels share work among threads.

A kernel runs once in each thread. The units of work are numbered; each thread takes the next
one by its ticket until there are none left (see `tickets`). A unit owns what it writes, so the
result does not depend on who does it or on how many threads there are.

The threads are torch's where they can be had (see `openmp`), else Python's: kernels release the
interpreter's lock. An OpenMP team waits for each of its threads, also for one that found nothing
to do because another program had its core; Python's need not have begun at all. So while the
machine is crowded the team is left alone. No second OpenMP runtime is loaded, and neither torch's
nor Numba's thread settings are touched.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch

from spikemnist.kernels import openmp
from spikemnist.kernels.tickets import tickets

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

GRAIN = 1 << 16
"""Operations, of about a nanosecond each, for which another thread is not worth waking."""

STALL = 2e-3
"""Seconds beyond a generous estimate of the work that a team takes only on a crowded machine."""

RETRY = 0.5
"""Seconds after which the team is tried again."""

_crowded_until = 0.0

_NO_POOL: tuple[int, ThreadPoolExecutor | None] = 0, None
_pool = _NO_POOL
"""How many threads the pool has, and the pool."""


def parallel(kernel: Callable[..., None], units: int, *arguments: Any, work: int = GRAIN) -> None:
    """Run a kernel over ``units`` units of work in at most ``torch.get_num_threads()`` threads.

    Parameters
    ----------
    kernel, units, arguments
        The call.
    work
        About how many operations the units take together; little of it is done right here.

    Returns when all of the work is done, also when the kernel raises.
    """
    threads = torch.get_num_threads()
    interpreted = not hasattr(kernel, "py_func")  # and then a ticket is not atomic
    alone = threads == 1 or units < 2 or work < GRAIN or interpreted
    crowded = time.perf_counter() < _crowded_until
    team = openmp.NO_TEAM if alone or crowded else openmp.team_addresses()
    if alone:
        kernel(tickets(1, units)[0], units, *arguments)
    elif team != openmp.NO_TEAM:
        _in_team(kernel, work, tickets(threads, units, *team)[0], units, *arguments)
    else:
        _in_pool(kernel, tickets(min(threads, units), units), units, *arguments)


def _in_team(kernel: Callable[..., None], work: int, *arguments: Any) -> None:
    global _crowded_until
    compiled: dict[Any, Any] = kernel.overloads  # type: ignore[attr-defined]
    known, started = len(compiled), time.perf_counter()
    # All of the team: a smaller one would make the runtime end the other threads.
    kernel(*arguments)
    ended = time.perf_counter()
    # A call that had to compile the kernel, or to load it, tells nothing about the machine.
    if len(compiled) == known and ended - started > STALL + 10e-9 * work:
        _crowded_until = ended + RETRY


def _in_pool(kernel: Callable[..., None], table: NDArray[np.int64], *arguments: Any) -> None:
    pool, held = _pool_of(len(table) - 1), [arguments]

    def help_out(row: NDArray[np.int64]) -> None:
        kernel(row, *held[0])

    futures = [pool.submit(help_out, row) for row in table[1:]]
    try:
        kernel(table[0], *arguments)
    finally:
        # Whoever has not begun by now would find no unit left.
        started = [future for future in futures if not future.cancel()]
        failures = [future.exception() for future in started]
        # What was cancelled waits in the pool's queue, and must not keep buffers alive there.
        held.clear()
    for failure in failures:
        if failure is not None:
            raise failure


def _pool_of(helpers: int) -> ThreadPoolExecutor:
    """Return a pool of at least so many threads.

    A larger one takes the place of the former, whose threads end as soon as no call uses it.
    """
    global _pool
    size, pool = _pool
    if pool is None or size < helpers:
        pool = ThreadPoolExecutor(helpers, "spikemnist")
        _pool = helpers, pool
    return pool


def _forget_pool() -> None:
    """Begin anew in a forked child, such as a DataLoader's worker: no thread came along."""
    global _pool
    _pool = _NO_POOL


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)

"""The threads that torch already has, for kernels as well.

Where torch runs its own operators on GNU's OpenMP, as on Linux, its threads go on spinning for
some milliseconds after each operator, and would fight with threads of ours for the same cores.
Kernels ask the same runtime for the same team instead; nothing is loaded. Elsewhere, and in a
process that was forked, whose team did not come along, `threads` has its own.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

MAPS = Path("/proc/self/maps")
"""Where Linux lists the libraries that a process has loaded."""

FORK = "GOMP_parallel"
"""``void (void (*function)(void *), void *data, unsigned threads, unsigned flags)``: calls the
function in each thread of a team, the caller's among them, and returns when all have returned."""


@functools.cache
def fork_address() -> int:
    """Return the address of `FORK` in the one OpenMP runtime of this process, or 0."""
    if not MAPS.exists():
        return 0
    paths = {line.split(maxsplit=5)[-1] for line in MAPS.read_text().splitlines()}
    names = ("libgomp", "libomp", "libiomp")
    runtimes = {path for path in paths if Path(path).name.startswith(names)}
    if len(runtimes) != 1 or not Path(next(iter(runtimes))).name.startswith("libgomp"):
        return 0
    function = getattr(ctypes.CDLL(runtimes.pop()), FORK)
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _forget() -> None:
    """Do without in a forked child: the runtime believes in threads that are not there."""
    globals()["fork_address"] = lambda: 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

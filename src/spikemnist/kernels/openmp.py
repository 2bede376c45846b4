"""The threads that torch already has, for kernels as well.

Where torch runs its own operators on an OpenMP runtime, the threads of its team go on spinning for
some milliseconds after each operator, and would compete with other threads for the same cores. On
Linux, kernels ask the same runtime for the same team instead; nothing is loaded. GNU's runtime has
the interface for that, and LLVM's and Intel's have it as well. Elsewhere, and in a process that was
forked, whose team did not come along, `scheduler` has its own threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

import torch

MAPS = Path("/proc/self/maps")
"""Where Linux lists the libraries that a process has loaded."""

_TORCH = Path(torch.__file__).resolve().parent
OWN = _TORCH / "lib", _TORCH.with_name("torch.libs")
"""Where torch keeps the libraries that came with it; the second on aarch64."""

FORK = "GOMP_parallel"
"""``void (void (*function)(void *), void *data, unsigned threads, unsigned flags)``: calls the
function in each thread of a team, the caller's among them, and returns when all have returned."""

NUMBER = "omp_get_thread_num"
"""``int (void)``: the number of this thread in its team; the caller's is 0."""

NO_TEAM = 0, 0


@functools.cache
def team_addresses() -> tuple[int, int]:
    """Return the addresses of `FORK` and `NUMBER` in torch's OpenMP runtime, or `NO_TEAM`.

    The one that came with torch is torch's, whatever others there are: scikit-learn brings one as
    well. Where none came with torch, there must be no doubt which one it uses.
    """
    try:
        # A path is bytes, whatever they mean.
        maps = MAPS.read_text(encoding="utf-8", errors="surrogateescape")
        runtime = _library(maps)
        return NO_TEAM if runtime is None else _addresses(ctypes.CDLL(runtime))
    # No list, as outside Linux; a library that is gone by now; or one without the interface.
    except (OSError, UnicodeError, AttributeError):
        return NO_TEAM


def _library(maps: str) -> str | None:
    """Return the path of the runtime that torch uses, if there is no doubt."""
    paths = {line.split(maxsplit=5)[-1] for line in maps.splitlines()}
    names = ("libgomp", "libomp", "libiomp")
    found = {path for path in paths if Path(path).name.startswith(names)}
    runtimes = {path for path in found if Path(path).parent in OWN} or found
    return runtimes.pop() if len(runtimes) == 1 else None


def _addresses(library: ctypes.CDLL) -> tuple[int, int]:
    fork, number = (ctypes.cast(getattr(library, name), ctypes.c_void_p) for name in (FORK, NUMBER))
    return fork.value or 0, number.value or 0


def _forget() -> None:
    """Do without in a forked child: the runtime believes in threads that are not there."""
    globals()["team_addresses"] = lambda: NO_TEAM


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

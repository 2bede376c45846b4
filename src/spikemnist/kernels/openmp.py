"""Use torch's threads for kernels as well.

If torch runs its operators on an OpenMP runtime, its threads keep spinning for some milliseconds
after each operator, and would compete with other threads for the same cores. On Linux and macOS,
kernels ask the same runtime for the same team of threads; no library is loaded. GNU's, LLVM's and
Intel's runtimes have the interface for that. Otherwise, and in a forked process, which does not
inherit the team, `scheduler` has its own threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path

import torch

MAPS = Path("/proc/self/maps")
"""File in which Linux lists the libraries that a process has loaded."""

_TORCH = Path(torch.__file__).resolve().parent
OWN = _TORCH / "lib", _TORCH.with_name("torch.libs")
"""Folders of the libraries that come with torch; the second one on aarch64."""

FORK = "GOMP_parallel"
"""``void (void (*function)(void *), void *data, unsigned threads, unsigned flags)``: calls the
function in each thread of a team, including the caller, and returns when all have returned."""

NUMBER = "omp_get_thread_num"
"""``int (void)``: the number of this thread in its team; the caller's is 0."""

NO_TEAM = 0, 0


@functools.cache
def team_addresses() -> tuple[int, int]:
    """Return the addresses of `FORK` and `NUMBER` in torch's OpenMP runtime, or `NO_TEAM`.

    A runtime that came with torch is the one it uses, even if there are others: scikit-learn brings
    one as well. If none came with torch, only one runtime may be loaded.
    """
    try:
        runtime = _runtime(_loaded())
        return NO_TEAM if runtime is None else _addresses(ctypes.CDLL(runtime))
    # No list, as on Windows; a library that is gone by now; or one without the interface.
    except (OSError, UnicodeError, AttributeError):
        return NO_TEAM


def _loaded() -> set[str]:
    """Return the paths of the libraries that this process has loaded."""
    if sys.platform == "darwin":  # the loader has the list
        process = ctypes.CDLL(None)
        name, count = process._dyld_get_image_name, process._dyld_image_count()
        name.restype = ctypes.c_char_p
        return {os.fsdecode(name(image) or b"") for image in range(count)}
    # A path is any bytes, not always UTF-8.
    maps = MAPS.read_text(encoding="utf-8", errors="surrogateescape")
    return {line.split(maxsplit=5)[-1] for line in maps.splitlines()}


def _runtime(libraries: set[str]) -> str | None:
    """Return the path of the runtime that torch uses, if there is no doubt."""
    names = ("libgomp", "libomp", "libiomp")
    candidates = {path for path in libraries if Path(path).name.startswith(names)}
    runtimes = {path for path in candidates if Path(path).resolve().parent in OWN} or candidates
    return runtimes.pop() if len(runtimes) == 1 else None


def _addresses(library: ctypes.CDLL) -> tuple[int, int]:
    fork, number = (ctypes.cast(getattr(library, name), ctypes.c_void_p) for name in (FORK, NUMBER))
    return fork.value or 0, number.value or 0


def _forget() -> None:
    """Use no team in a forked child: the runtime expects threads that do not exist there."""
    globals()["team_addresses"] = lambda: NO_TEAM


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

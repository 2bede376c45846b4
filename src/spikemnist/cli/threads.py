"""How many threads a command takes, and how long they spin while they wait for one another.

A command owns its process, so it chooses for it, before PyTorch is loaded: an OpenMP runtime reads
its variables once. What the user has set stays.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

WAITING = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "0"}
"""Variables for short waits. GNU's runtime looks so many times whether the other threads have
ended before it sleeps; LLVM's, as on macOS, and Intel's sleep at once. By themselves they look
300,000 times or for 200 ms, and burn the processor that another thread needs where other programs
run as well. With 1,000 times, short steps on idle processors took 2 to 16 % longer.
"""

POLICY = "OMP_WAIT_POLICY"
"""Variable by which a user chooses for all runtimes whether threads spin or sleep."""

GROUPS = Path("/proc/self/cgroup")
"""File in which Linux lists the control groups of a process, one for each kind of resource."""

MOUNT = Path("/sys/fs/cgroup")
"""Folder of the control groups, whose files hold the quota of a container."""


def choose_threads() -> None:
    """Set what the runtimes read: short waits, and no more threads than a quota has processors."""
    if not os.environ.keys() & {POLICY, *WAITING}:
        os.environ.update(WAITING)
    # Without a quota the choice is torch's: it takes one of two threads that share a core.
    if _quota() < _affinity() and not os.environ.keys() & {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}:
        os.environ["OMP_NUM_THREADS"] = str(allowed_processors())


def waiting() -> list[str]:
    """Return the variables that say how threads wait, as ``NAME=value``."""
    return [f"{name}={os.environ[name]}" for name in (POLICY, *WAITING) if name in os.environ]


def allowed_processors() -> int:
    """Return how many processors this process may use, by its affinity and its quota.

    A quota of 1.5 processors counts as 1: two threads would use it up in three quarters of the
    time, and stand still for the rest.
    """
    return max(1, math.floor(min(_affinity(), _quota())))


def _affinity() -> int:
    """Return the number of processors on which the system lets this process run."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # another system than Linux
        return os.cpu_count() or 1


def _quota() -> float:
    """Return the processors that control groups allow: the least of the group and those above."""
    quotas = [math.inf]
    with contextlib.suppress(OSError):  # another system than Linux
        for line in GROUPS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "" or "cpu" in kinds.split(","):
                root = MOUNT / "cpu" if kinds else MOUNT
                group = root / path.lstrip("/")
                # A container sees its own group as the root, whatever the path says.
                quotas += map(_quota_of, (group, *group.parents))
    return min(quotas)


def _quota_of(group: Path) -> float:
    """Return the quota of a group: version 2 has one file for it, version 1 two."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            words = " ".join((group / name).read_text(encoding="ascii") for name in names)
            quota, period = map(int, words.split())
            if quota > 0:  # version 1 writes -1 for none
                return quota / period
    return math.inf

"""How long the threads of this process wait for a processor, and what to do about it.

Threads of torch and of the kernels spin while they wait for one another. Where something else runs
on the processor of one thread, the others burn theirs until it comes back.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

LONG_EPOCH = 2.0
"""Seconds of an epoch above which waiting is worth a warning."""

STUCK = 0.25
"""Share of an epoch that each thread waits where they hold one another up. Two threads waited for
0 % of it on idle processors, and for 50 to 90 % where they were twenty times slower than one."""


def seconds_waited() -> float:
    """Return how long the threads of this process could run, and had no processor.

    It is the sum over the threads, each from its beginning. Linux counts it; elsewhere it is 0.
    """
    nanoseconds = 0
    for file in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread has ended
            nanoseconds += int(file.read_text(encoding="ascii").split()[1])
    return nanoseconds / 1e9


def waiting_findings(seconds: float, waited: float, threads: int) -> Iterator[str]:
    """Yield a finding if threads waited for a processor in an epoch of some seconds.

    Of more than four threads it is enough that one is waiting at any time. A single thread holds up
    no other, and neither do threads that sleep instead of spinning. The text has no numbers, so
    that Python shows it once.
    """
    sleeping = os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"
    sleeping |= not os.environ.keys().isdisjoint({"GOMP_SPINCOUNT", "KMP_BLOCKTIME"})
    stuck = seconds > LONG_EPOCH and waited > seconds * min(STUCK * threads, 1.0)
    if stuck and threads > 1 and not sleeping:
        yield (
            "the processors are busy: threads waited for them, and so for one another, in an epoch;"
            " start Python with OMP_WAIT_POLICY=passive, so that they sleep while they wait, or"
            " call torch.set_num_threads(1)"
        )

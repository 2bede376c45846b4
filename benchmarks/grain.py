"""From how much work on a second thread pays for itself, where kernels run in a pool of threads.

    python -m benchmarks.grain

Where torch brings no OpenMP runtime of GNU's, as on macOS and Windows, `scheduler` hands work to
Python's threads. Here the pool is forced on two threads, and each amount of work is timed alone, in
the pool and, where there is one, in torch's team, in turn. The threads of a team spin for a while
when they are done: a pool is measured without one first, and then beside it.
"""

from __future__ import annotations

import statistics
import time
from unittest import mock

import numpy as np
import torch

from spikemnist.kernels import openmp, scheduler, spike_lists
from spikemnist.kernels.scheduler import parallel

UNITS = 64

WORDS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
"""Words whose bits are counted in a unit of work."""


WAYS = {"alone": (1 << 62, False), "pool": (0, False), "team": (0, True)}
"""The least work to share, and whether torch's team may do it."""


def measure(words: int, ways: tuple[str, ...], repeats: int = 300) -> dict[str, float]:
    """Return the median microseconds of each way to do the work."""
    bits, counts = np.ones((UNITS, words, 1), np.uint64), np.empty(UNITS, np.int64)
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way in ways:
            grain, may = WAYS[way]
            team = openmp.team_addresses() if may else openmp.NO_TEAM
            with (
                mock.patch.multiple(scheduler, GRAIN=grain, POOL_GRAIN=grain),
                mock.patch.object(openmp, "team_addresses", return_value=team),
            ):
                begin = time.perf_counter()
                parallel(spike_lists._count, UNITS, bits, counts, work=1)
                found[way].append(1e6 * (time.perf_counter() - begin))
    return {way: statistics.median(times) for way, times in found.items()}


def main() -> None:
    """Print a line for each amount of work."""
    torch.set_num_threads(2)
    for ways in (("alone", "pool"), ("alone", "pool", "team")):
        measure(1, ways, 3)
        print("microseconds", *ways)
        for words in WORDS:
            print(*(f"{time:10.1f}" for time in measure(words, ways).values()))
    print(f"here from {scheduler.POOL_GRAIN} ns in a pool, from {scheduler.GRAIN} ns in a team")


if __name__ == "__main__":
    main()

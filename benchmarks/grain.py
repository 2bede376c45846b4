"""Measure the amount of work from which a second thread pays off, in a pool of Python threads.

    python -m benchmarks.grain

If kernels cannot use the OpenMP threads of torch, as on macOS and Windows, `scheduler` runs them in
a pool of Python threads. This script forces the pool, with two threads. It times each amount of
work in turn on one thread, in the pool and, if there is one, in torch's team of OpenMP threads. The
threads of a team spin for a while after their work, so the pool is measured first without and then
with it.
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
"""Numbers of 64-bit words whose bits are counted in one unit of work."""

WAYS = {"alone": (1 << 62, False), "pool": (0, False), "team": (0, True)}
"""Smallest work that is shared between threads, and whether torch's team may do it."""


def measure(words: int, ways: tuple[str, ...], repeats: int = 300) -> dict[str, float]:
    """Return the median microseconds of the work in each of `WAYS`."""
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

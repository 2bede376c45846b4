"""Time several things in turn, so that whatever disturbs the machine disturbs them alike."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEAST_REPEATS = 6
"""Calls that are timed even when they take longer than they should."""
IN_A_ROW = 3
"""Timed calls of a turn, after one that is not timed."""


@dataclass(frozen=True)
class Job:
    """Something to time.

    Attributes
    ----------
    run
        What is timed; it gets what ``prepare`` returned.
    prepare
        What has to be there first; not timed.
    """

    run: Callable[[Any], object]
    prepare: Callable[[], Any] = lambda: None


@dataclass(frozen=True)
class Timing:
    """Seconds of each timed call, in their order.

    Examples
    --------
    >>> timing = Timing((2.0, 1.0, 3.0, 2.0, 9.0))
    >>> timing.median, timing.quartiles
    (2.0, (1.5, 6.0))
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle call, which a few disturbed ones do not move."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and third quartile, between which half of the calls lie."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return low, high


def time_in_turn(
    jobs: Mapping[str, Job], *, repeats: int = 30, budget: float = float("inf")
) -> dict[str, Timing]:
    """Time jobs one after the other, round after round.

    A turn is one call that is not timed and then three that are: the first meets the caches and
    the waiting threads that the job before it left behind. A whole round goes before, untimed,
    so that nothing is timed that compiles or allocates for the first time.

    Parameters
    ----------
    jobs
        What to time, by name.
    repeats
        Timed calls of each job, at least 6; rounded up to a multiple of three.
    budget
        Seconds for all jobs together, after which no further round begins; six calls of each
        are timed in any case.

    Returns
    -------
    dict of str to Timing
        The same number of calls for each job.

    Raises
    ------
    ValueError
        For fewer than 6 repeats, too few for quartiles that mean something.

    Examples
    --------
    >>> timings = time_in_turn({"sum": Job(lambda _: sum(range(1000)))}, repeats=6)
    >>> len(timings["sum"].seconds), timings["sum"].median > 0
    (6, True)
    """
    if repeats < LEAST_REPEATS:
        raise ValueError(f"repeats must be at least {LEAST_REPEATS}; got {repeats}")
    for job in jobs.values():
        job.run(job.prepare())
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    started = time.perf_counter()
    done = 0
    while done < repeats and (done < LEAST_REPEATS or time.perf_counter() - started < budget):
        for name, job in jobs.items():
            job.run(job.prepare())
            seconds[name].extend(_time_once(job) for _ in range(IN_A_ROW))
        done += IN_A_ROW
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def _time_once(job: Job) -> float:
    prepared = job.prepare()
    started = time.perf_counter()
    result = job.run(prepared)
    elapsed = time.perf_counter() - started
    del result  # freed outside the measured time, like the results of everyone else
    return elapsed

"""Time several things in turn, so that whatever disturbs the machine disturbs them alike.

And look at the load meanwhile: a ratio from a busy machine says more of the other programs than of
what was timed. Threads that wait for one another lose far more to them than a single thread does.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spikemnist.benchmark.machine import others_took, processor_share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEAST_REPEATS = 6
"""Calls without which there is no timing."""
IN_A_ROW = 3
"""Timed calls of a turn, after one that is not timed."""
WIDEST = 0.5
"""Largest distance of the quartiles, as a share of the median, that a ratio may rest on. Of the 270
timings of this package and snnTorch in ``docs/benchmarks`` six had more, on a quiet machine."""

Round = dict[str, list[float]]


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

    Attributes
    ----------
    seconds
        At least two.
    share
        Of the processors, that this process got meanwhile: see `processor_share`.

    Examples
    --------
    >>> timing = Timing((2.0, 1.0, 3.0, 2.0, 9.0))
    >>> timing.median, timing.quartiles
    (2.0, (1.5, 6.0))
    >>> timing.busy
    'half of the calls took from 1500 to 6000 ms'
    >>> Timing((2.0, 2.1, 2.2), share=0.4).busy
    'other programs took 60 % of the processors'
    """

    seconds: tuple[float, ...]
    share: float = 1.0

    @property
    def median(self) -> float:
        """The middle call, which a few disturbed ones do not move."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and third quartile, between which half of the calls lie."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return low, high

    @property
    def busy(self) -> str:
        """Why no ratio may rest on it; empty when one may."""
        if taken := others_took(self.share):
            return taken
        low, high = self.quartiles
        if high - low > WIDEST * self.median:
            return f"half of the calls took from {milliseconds(low)} to {milliseconds(high)} ms"
        return ""


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds with three digits.

    Examples
    --------
    >>> milliseconds(0.00123456), milliseconds(0.0123456), milliseconds(1.23456)
    ('1.23', '12.3', '1235')
    """
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 99.95 else f"{value:.{1 if value >= 9.995 else 2}f}"


def time_in_turn(
    jobs: Mapping[str, Job],
    *,
    repeats: int = 30,
    budget: float = float("inf"),
    limit: float = float("inf"),
) -> dict[str, Timing]:
    """Time jobs one after the other, round after round.

    A turn is one call that is not timed and then three that are: the first meets the caches and
    the waiting threads that the job before it left behind. A whole round goes before, untimed,
    so that nothing is timed that compiles or allocates for the first time.

    After each round the load is looked at. A round that other programs disturbed is repeated, as
    long as there is time, at most as many as were wanted. Timings are of the undisturbed rounds
    where these hold six calls, else of all.

    Parameters
    ----------
    jobs
        What to time, by name.
    repeats
        Timed calls of each job, at least 6; rounded up to a multiple of three.
    budget
        Seconds for all jobs together, after which no further round begins; six calls of each
        are timed in any case.
    limit
        Seconds after which no further call begins, not even one of the first six.

    Returns
    -------
    dict of str to Timing
        The same number of calls for each job; empty when the limit came before six of each.

    Raises
    ------
    ValueError
        For fewer than 6 repeats, too few for quartiles that mean something.

    Examples
    --------
    >>> timings = time_in_turn({"sum": Job(lambda _: sum(range(1000)))}, repeats=6)
    >>> len(timings["sum"].seconds) >= 6, timings["sum"].median > 0
    (True, True)
    """
    if repeats < LEAST_REPEATS:
        raise ValueError(f"repeats must be at least {LEAST_REPEATS}; got {repeats}")
    deadline = time.perf_counter() + limit
    if _round(jobs, deadline, calls=1) is None:
        return {}
    wanted, least = -(-repeats // IN_A_ROW), LEAST_REPEATS // IN_A_ROW
    started = time.perf_counter()
    rounds: list[tuple[float, Round]] = []
    quiet: list[tuple[float, Round]] = []
    while (
        len(quiet) < wanted
        and len(rounds) < 2 * wanted
        and (len(rounds) < least or time.perf_counter() - started < budget)
    ):
        seconds = _round(jobs, deadline, calls=1 + IN_A_ROW)
        if seconds is None:
            break
        rounds.append((processor_share(), seconds))
        quiet = [found for found in rounds if not others_took(found[0])]
    chosen = quiet if len(quiet) >= least else rounds
    if len(chosen) < least:
        return {}
    share = statistics.fmean(share for share, _ in chosen)
    return {
        name: Timing(tuple(second for _, found in chosen for second in found[name]), share)
        for name in jobs
    }


def _round(jobs: Mapping[str, Job], deadline: float, *, calls: int) -> Round | None:
    """Return the seconds of all calls but the first, or none when the deadline came before."""
    seconds: Round = {name: [] for name in jobs}
    for name, job in jobs.items():
        for _ in range(calls):
            if time.perf_counter() > deadline:
                return None
            seconds[name].append(_time_once(job))
    return {name: values[1:] for name, values in seconds.items()}


def _time_once(job: Job) -> float:
    prepared = job.prepare()
    started = time.perf_counter()
    result = job.run(prepared)
    elapsed = time.perf_counter() - started
    del result  # freed outside the measured time, like the results of everyone else
    return elapsed

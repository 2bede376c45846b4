"""Time functions in turn, so that a disturbance of the machine affects all of them alike.

The load is measured meanwhile, since a ratio from a busy machine depends more on other programs
than on the timed functions. Threads that wait for one another lose far more to other programs than
a single thread does.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

LEAST_CALLS = 3
"""Smallest number of timed calls for a timing."""
IN_A_ROW = 3
"""Timed calls in a turn, after one untimed call."""
WIDEST = 0.5
"""Largest distance of the quartiles, as a share of the median, for which a ratio is given."""
QUIET = 0.9
"""Smallest share of the processors on a machine that counts as quiet."""
PROBE_SECONDS = 0.2 if sys.platform == "win32" else 0.04
"""Duration of a load measurement. Windows counts process time in ticks of 16 ms."""
PROBE_BYTES = bytes(2**22)
"""Data hashed repeatedly meanwhile: some 10 ms each time, without the interpreter's lock."""


Timing = dict[str, Any]
"""``median`` and ``quartiles`` in seconds, the number of timed ``calls``, the ``share`` of the
processors that this process got meanwhile, and ``busy``: why no ratio is given, else empty."""


def summarize(seconds: Sequence[float], share: float = 1.0) -> Timing:
    """Return the statistics of timed calls, and whether a ratio may be given.

    Parameters
    ----------
    seconds : sequence of float
        Durations of at least two calls.
    share : float, default 1.0
        Share of the processors that this process got meanwhile: see `processor_share`.

    Examples
    --------
    >>> timing = summarize((2.0, 1.0, 3.0, 2.0, 9.0))
    >>> timing["median"], timing["quartiles"], timing["busy"]
    (2.0, [1.5, 6.0], 'half of the calls took from 1500 to 6000 ms')
    >>> summarize((2.0, 2.1, 2.2), share=0.4)["busy"]
    'other programs took 60 % of the processors'
    """
    low, median, high = statistics.quantiles(seconds, n=4)
    busy = others_took(share)
    if not busy and high - low > WIDEST * median:
        busy = f"half of the calls took from {milliseconds(low)} to {milliseconds(high)} ms"
    quartiles, calls = [low, high], len(seconds)
    return {"median": median, "quartiles": quartiles, "calls": calls, "share": share, "busy": busy}


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
    jobs: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 30,
    budget: float = float("inf"),
) -> dict[str, Timing]:
    """Time functions one after the other, round after round.

    A turn is one untimed call and then three timed ones: the first call meets the caches and the
    waiting threads that the previous function left. A whole untimed round comes first, so that no
    timed call compiles or allocates for the first time.

    The load is measured after each round. A round disturbed by other programs is repeated if there
    is time; at most as many rounds are repeated as were wanted. Timings are from the undisturbed
    rounds if there is one, else from all.

    Parameters
    ----------
    jobs : mapping of str to callable
        Functions without arguments, by name.
    repeats : int, default 30
        Timed calls of each function, at least 3; rounded up to a multiple of three.
    budget : float, default inf
        Seconds for all functions together, after which no further round begins. Three calls of
        each are timed in any case.

    Returns
    -------
    dict of str to dict
        Plain values, with the same number of calls for each function.

    Raises
    ------
    ValueError
        For fewer than 3 repeats, too few for quartiles.

    Examples
    --------
    >>> timings = time_in_turn({"sum": lambda: sum(range(1000))}, repeats=6)
    >>> timings["sum"]["calls"] >= 6, timings["sum"]["median"] > 0
    (True, True)
    """
    if repeats < LEAST_CALLS:
        raise ValueError(f"repeats must be at least {LEAST_CALLS}; got {repeats}")
    _time_round(jobs, 1)
    wanted, least = -(-repeats // IN_A_ROW), LEAST_CALLS // IN_A_ROW
    deadline = time.perf_counter() + budget
    rounds: list[tuple[float, dict[str, list[float]]]] = []
    quiet = rounds
    while len(quiet) < wanted and len(rounds) < 2 * wanted:
        if len(rounds) >= least and time.perf_counter() >= deadline:
            break
        seconds = _time_round(jobs, 1 + IN_A_ROW)
        rounds.append((processor_share(), seconds))
        quiet = [found for found in rounds if not others_took(found[0])]
    chosen = quiet if len(quiet) >= least else rounds
    share = statistics.fmean(share for share, _ in chosen)
    return {
        name: summarize([s for _, found in chosen for s in found[name]], share) for name in jobs
    }


def _time_round(jobs: Mapping[str, Callable[[], object]], calls: int) -> dict[str, list[float]]:
    """Return the seconds of all calls but the first of each function."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for name, job in jobs.items():
        for _ in range(calls):
            started = time.perf_counter()
            result = job()
            seconds[name].append(time.perf_counter() - started)
            del result  # freed outside the measured time
    return {name: values[1:] for name, values in seconds.items()}


def processor_share() -> float:
    """Return the share of the processors that this process gets when it asks for all of them.

    As many threads as torch has work for a moment, and their processor time is compared with the
    elapsed time. The share is 1 on a machine that does nothing else, and 0.5 beside a program with
    the same demand. Unlike the load average, it describes this moment, leaves out this process,
    respects the limits of a container, and exists on Windows.

    Examples
    --------
    >>> 0 < processor_share() < 1.5
    True
    """
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            hashlib.sha256(PROBE_BYTES)

    workers = [threading.Thread(target=work) for _ in range(torch.get_num_threads())]
    for worker in workers:
        worker.start()
    wall, processor = time.perf_counter(), time.process_time()
    time.sleep(PROBE_SECONDS)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    done.set()
    for worker in workers:
        worker.join()
    return processor / (wall * len(workers))


def others_took(share: float) -> str:
    """Return the share that other programs took, as text; empty on a quiet machine.

    Examples
    --------
    >>> others_took(0.4), others_took(0.97)
    ('other programs took 60 % of the processors', '')
    """
    taken = f"other programs took {100 * (1 - share):.0f} % of the processors"
    return "" if share >= QUIET else taken

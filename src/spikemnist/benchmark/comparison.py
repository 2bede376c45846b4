"""Time everyone who passed the check, stage by stage, and say it in plain values."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from spikemnist.benchmark.timing import LEAST_REPEATS, Job, Timing, time_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spikemnist.benchmark.contestant import Contestant
    from spikemnist.benchmark.oracle import Verdict
    from spikemnist.benchmark.workload import Batch

TOO_FEW = f"fewer than {LEAST_REPEATS} calls in the time: the machine is busy, or slow"


def compare(
    everyone: Sequence[Contestant],
    verdicts: Mapping[str, Verdict],
    jobs_of: Callable[[Contestant], Mapping[str, Job]],
    stages: Sequence[str],
    *,
    repeats: int = 30,
    budget: float = float("inf"),
    limit: float = float("inf"),
) -> dict[str, Any]:
    """Time the stages of those that passed.

    Parameters
    ----------
    everyone
        In the order of the tables.
    verdicts
        By name.
    jobs_of
        Returns what to call for each stage; a contestant may lack one.
    stages
        Which of them to time.
    repeats, budget
        For each stage: see `time_in_turn`.
    limit
        Seconds for all stages, after which no further call begins.

    Returns
    -------
    dict
        By name: in what it ``differs``, the ``backend`` of ours that ran, its ``check``, and its
        ``stages`` as `plain` returns them, those that the limit left time for.
    """
    deadline = time.perf_counter() + limit
    passed = [contestant for contestant in everyone if verdicts[contestant.name].passed]
    jobs = {contestant.name: jobs_of(contestant) for contestant in passed}
    timed: dict[str, dict[str, Timing]] = {contestant.name: {} for contestant in everyone}
    for stage in stages:
        here = {name: called[stage] for name, called in jobs.items() if stage in called}
        left = deadline - time.perf_counter()
        for name, timing in time_in_turn(here, repeats=repeats, budget=budget, limit=left).items():
            timed[name][stage] = timing
    return {
        contestant.name: {
            "differs": contestant.differs,
            "backend": getattr(contestant, "ran", ""),
            "check": asdict(verdicts[contestant.name]),
            "stages": {name: plain(timing) for name, timing in timed[contestant.name].items()},
        }
        for contestant in everyone
    }


def network_jobs(contestant: Contestant, batch: Batch) -> dict[str, Job]:
    """Return what each of `STAGES` calls."""
    given = contestant.lay_out(batch.spikes)
    return {
        "encode": Job(lambda _: contestant.encode(batch.pixels)),
        "forward": Job(lambda _: contestant.forward(given)),
        "inference": Job(lambda _: contestant.forward(contestant.encode(batch.pixels))),
        "forward+backward": Job(lambda _: contestant.backward(given, batch.labels)),
        "training step": Job(lambda _: contestant.step(batch.pixels, batch.labels)),
    }


def plain(timing: Timing) -> dict[str, Any]:
    """Return a timing in plain values, in seconds."""
    return {
        "median": timing.median,
        "quartiles": list(timing.quartiles),
        "calls": len(timing.seconds),
        "share": timing.share,
        "busy": timing.busy,
    }


def no_ratio(*timings: Mapping[str, Any] | None) -> str:
    """Return why no ratio may rest on these timings; empty when one may.

    Parameters
    ----------
    timings
        As `plain` returns them, or as files of earlier versions hold them, which did not look at
        the load; none for what was not timed.

    Examples
    --------
    >>> no_ratio(plain(Timing((1.0, 1.0))), plain(Timing((7.0, 7.0), share=0.5)))
    'other programs took 50 % of the processors'
    """
    reasons = [TOO_FEW if timing is None else timing.get("busy") for timing in timings]
    return next(filter(None, reasons), "")

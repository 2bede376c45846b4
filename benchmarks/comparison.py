"""Time every candidate that passed the check, stage by stage, and return plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from spikemnist.cli.timing import LEAST_CALLS, time_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.candidates import Candidate
    from benchmarks.oracle import CheckResult
    from benchmarks.workload import Batch

    Jobs = Mapping[str, Callable[[], object]]

TOO_FEW = f"fewer than {LEAST_CALLS} calls in the time: the machine is busy, or slow"


def compare(
    candidates: Sequence[Candidate],
    checks: Mapping[str, CheckResult],
    jobs_of: Callable[[Candidate], Jobs],
    stages: Sequence[str],
    *,
    repeats: int = 30,
    budget: float = float("inf"),
) -> dict[str, Any]:
    """Time the stages of the candidates that passed.

    Parameters
    ----------
    candidates : sequence of Candidate
        In the order of the tables.
    checks : mapping of str to CheckResult
        By name.
    jobs_of : callable
        Returns what to call for each stage; a candidate may lack one.
    stages : sequence of str
        Which of them to time.
    repeats, budget
        For each stage: see `time_in_turn`.

    Returns
    -------
    dict
        By name: its ``deviation``, the ``backend`` of this package that ran, its ``check``, and its
        ``stages`` as `time_in_turn` returns them.
    """
    jobs = {c.name: jobs_of(c) for c in candidates if checks[c.name].passed}
    timed: dict[str, dict[str, Any]] = {candidate.name: {} for candidate in candidates}
    for stage in stages:
        calls = {
            name: stage_jobs[stage] for name, stage_jobs in jobs.items() if stage in stage_jobs
        }
        for name, timing in time_in_turn(calls, repeats=repeats, budget=budget).items():
            timed[name][stage] = timing
    return {
        candidate.name: {
            "deviation": candidate.deviation,
            "backend": candidate.backend,
            "check": asdict(checks[candidate.name]),
            "stages": timed[candidate.name],
        }
        for candidate in candidates
    }


def network_jobs(candidate: Candidate, batch: Batch) -> Jobs:
    """Return what each of `STAGES` calls."""
    spikes = candidate.prepare_input(batch.spikes)
    return {
        "encode": lambda: candidate.encode(batch.pixels),
        "forward": lambda: candidate.forward(spikes),
        "inference": lambda: candidate.forward(candidate.encode(batch.pixels)),
        "forward+backward": lambda: candidate.backward(spikes, batch.labels),
        "training step": lambda: candidate.step(batch.pixels, batch.labels),
    }


def no_ratio(*timings: Mapping[str, Any] | None) -> str:
    """Return why no ratio may rest on these timings; empty when one may.

    Parameters
    ----------
    *timings : mapping or None
        As `time_in_turn` returns them, or as files of earlier versions hold them, which did not
        look at the load; none for what was not timed.

    Examples
    --------
    >>> from spikemnist.cli.timing import summarize
    >>> no_ratio(summarize((1.0, 1.0)), summarize((7.0, 7.0), share=0.5))
    'other programs took 50 % of the processors'
    """
    reasons = [TOO_FEW if timing is None else timing.get("busy") for timing in timings]
    return next(filter(None, reasons), "")

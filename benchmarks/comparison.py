"""Time each stage of every candidate that passed its check, and return plain values."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.candidates import TIMESTEP
from benchmarks.timing import LEAST_CALLS, summarize, time_in_turn

if TYPE_CHECKING:
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
    """Time the stages of the candidates that passed their check.

    Parameters
    ----------
    candidates : sequence of Candidate
        Candidates in the order of the tables.
    checks : mapping of str to CheckResult
        Check results by name of the candidate.
    jobs_of : callable
        Function that returns the call to time for each stage; a candidate may lack a stage.
    stages : sequence of str
        Stages to time.
    repeats : int, default 30
        Timed calls of each stage: see `time_in_turn`.
    budget : float, default inf
        Seconds for each stage: see `time_in_turn`.

    Returns
    -------
    dict
        For each name its ``deviation``, the ``backend`` of this package that ran, its ``check``,
        and its ``stages`` as `time_in_turn` returns them.
    """
    jobs = {c.name: jobs_of(c) for c in candidates if checks[c.name].passed}
    timed: dict[str, dict[str, Any]] = {candidate.name: {} for candidate in candidates}
    for stage in stages:
        calls = {
            name: stage_jobs[stage] for name, stage_jobs in jobs.items() if stage in stage_jobs
        }
        found = time_in_turn(calls, repeats=repeats, budget=budget) if calls else {}
        for name, timing in found.items():
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


def in_processes(number: int, compare: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Return the result of a comparison in several fresh processes, one after the other.

    The layout of the memory differs from process to process, and with it the speed. A timing is the
    median of those of the processes, which are listed as ``processes``.
    """
    spawn, threads = multiprocessing.get_context("spawn"), (torch.get_num_threads(),)
    found = []
    for _ in range(number):
        with ProcessPoolExecutor(1, spawn, torch.set_num_threads, threads) as process:
            found.append(process.submit(compare, *arguments).result())
    return {name: of_processes([one[name] for one in found]) for name in found[0]}


def of_processes(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the result of a candidate in several processes, that of a failed check if any."""
    for result in results:
        if not result["stages"]:
            return result
    names = results[0]["stages"]
    stages = {name: _joined([result["stages"][name] for result in results]) for name in names}
    return {**results[0], "stages": stages}


def _joined(timings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the timing of a stage in several processes."""
    if len(timings) == 1:
        return timings[0]
    medians = [timing["median"] for timing in timings]
    summary = summarize(medians, statistics.fmean(timing["share"] for timing in timings))
    calls = sum(timing["calls"] for timing in timings)
    return {**summary, "calls": calls, "processes": medians}


def network_jobs(candidate: Candidate, batch: Batch) -> Jobs:
    """Return the call to time for each of `STAGES`, and for one timestep of one image."""
    spikes = candidate.prepare_input(batch.spikes)
    stream = {TIMESTEP: candidate.stream(spikes)} if spikes.shape[1] == 1 else {}
    return {
        **{stage: advance for stage, advance in stream.items() if advance is not None},
        "encode": lambda: candidate.encode(batch.pixels),
        "forward": lambda: candidate.forward(spikes),
        "inference": lambda: candidate.forward(candidate.encode(batch.pixels)),
        "forward+backward": lambda: candidate.backward(spikes, batch.labels),
        "training step": lambda: candidate.step(batch.pixels, batch.labels),
    }


def no_ratio(*timings: Mapping[str, Any] | None) -> str:
    """Return the reason not to compute a ratio of these timings; empty if there is none.

    Parameters
    ----------
    *timings : mapping or None
        Timings as `time_in_turn` returns them, or from files of earlier versions, which did not
        record the load; None if there is no timing.

    Examples
    --------
    >>> from benchmarks.timing import summarize
    >>> no_ratio(summarize((1.0, 1.0)), summarize((7.0, 7.0), share=0.5))
    'other programs took 50 % of the processors'
    """
    reasons = [TOO_FEW if timing is None else timing.get("busy") for timing in timings]
    return next(filter(None, reasons), "")

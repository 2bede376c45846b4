"""``spikemnist bench``."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._atomic import write_atomically
from spikemnist.benchmark import (
    Oracle,
    Ours,
    SnnTorchLoop,
    Verdict,
    Workload,
    compare,
    describe_machine,
    milliseconds,
    network_jobs,
    no_ratio,
    others_took,
    trained_weights,
)
from spikemnist.cli.errors import WrongRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spikemnist.cli.options import Bench

WORKLOADS = (
    Workload(code="rate"),
    Workload(code="rate", hidden=128),
    Workload(code="latency"),
    Workload(code="direct"),
)
QUICK = (Workload(code="rate"), Workload(code="latency"))
SECONDS, QUICK_SECONDS = 60.0, 15.0
"""From the first measurement to the last, on whatever machine."""
REPEATS = 30
STAGES = ("training step", "inference")
HEADER = f"{'milliseconds (quartiles)':24}{'spikemnist':>16}{'snnTorch':>33}{'ratio':>8}"


def run(command: Bench) -> int:
    """Check, time and tell, one network after the other."""
    if command.json is not None and command.json.is_dir():
        raise WrongRequest(f"--json must name a file; {command.json} is a folder")
    machine: dict[str, Any] = describe_machine()
    load = "" if machine["load"] is None else f", load {machine['load']:.1f}"
    print(
        f"{machine['processor']}, {machine['cores']} cores{load}, {machine['threads']} threads, "
        f"torch {torch.__version__}\n\n{HEADER}",
        flush=True,
    )
    workloads, seconds = (QUICK, QUICK_SECONDS) if command.quick else (WORKLOADS, SECONDS)
    results = []
    for workload, found in measure_all(workloads, seconds):
        ratios = {stage: ratio(found, stage) for stage in STAGES}
        results.append({**asdict(workload), "contestants": found, "ratios": ratios})
        print(*_lines(workload, found, ratios), sep="\n", flush=True)
    print("", *_notes(results, machine), sep="\n")
    if command.json is not None:
        text = json.dumps({"machine": machine, "networks": results}, indent=2) + "\n"
        write_atomically(command.json, lambda file: file.write_text(text, encoding="utf-8"))
    return 0


def measure_all(
    workloads: Sequence[Workload], seconds: float
) -> Iterator[tuple[Workload, dict[str, Any]]]:
    """Yield each network and what `compare` returns of it, nothing where no time was left.

    Kernels are compiled first: that happens once in the life of an installation, and takes longer
    than all the rest.
    """
    for workload in workloads:
        compile_kernels(workload)
    deadline = time.perf_counter() + seconds
    for index, workload in enumerate(workloads):
        left = deadline - time.perf_counter()
        yield workload, measure(workload, left / (len(workloads) - index), left) if left > 0 else {}


def compile_kernels(workload: Workload) -> None:
    """Run a short training, and each stage once."""
    ours = Ours(trained_weights(workload), "auto", workload)
    for job in network_jobs(ours, workload.load()).values():
        job.run(job.prepare())


def measure(workload: Workload, budget: float, limit: float) -> dict[str, Any]:
    """Check ours against snnTorch, and time both, ours only when it passed.

    Parameters
    ----------
    workload
        The network.
    budget
        Seconds for it, after which no more calls begin than the few that a figure needs.
    limit
        Seconds after which nothing is begun; the check is not broken off.
    """
    started = time.perf_counter()
    layers, batch = trained_weights(workload), workload.load()
    if time.perf_counter() - started > limit:
        return {}
    ours, theirs = Ours(layers, "auto", workload), SnnTorchLoop(layers, workload)
    oracle = Oracle(theirs, batch.spikes, batch.labels)
    verdicts = {ours.name: oracle.check(ours), theirs.name: Verdict()}
    spent = time.perf_counter() - started
    return compare(
        (ours, theirs),
        verdicts,
        lambda contestant: network_jobs(contestant, batch),
        STAGES,
        repeats=REPEATS,
        budget=(budget - spent) / len(STAGES),
        limit=limit - spent,
    )


def ratio(found: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return snnTorch's time over ours, or why there is none."""
    if not found:
        return {"ratio": None, "why": "no time was left for it"}
    ours, theirs = found.values()
    if ours["check"]["why"]:
        return {"ratio": None, "why": ours["check"]["why"]}
    mine, other = (who["stages"].get(stage) for who in (ours, theirs))
    why = no_ratio(mine, other)
    return {"ratio": None if why else other["median"] / mine["median"], "why": why}


def _lines(workload: Workload, found: dict[str, Any], ratios: dict[str, Any]) -> list[str]:
    """Return a line for the network and each stage; no speed of ours that failed the check."""
    if not found:
        return [f"{workload}", "  not measured: no time was left for it"]
    ours, theirs = found.values()
    if ours["check"]["why"]:
        return [f"{workload}", f"  not shown: {ours['check']['why']}"]
    lines = [f"{workload} ({ours['backend']})"]
    for stage in STAGES:
        mine, other = (who["stages"].get(stage) for who in (ours, theirs))
        if mine is None:
            lines.append(f"  {stage:15}not measured: {ratios[stage]['why']}")
            continue
        timesteps = workload.batch * workload.num_steps / mine["median"]
        times = ratios[stage]["ratio"]
        lines.append(
            f"  {stage:14}{_cell(mine):>24}{1e-3 * timesteps:7.0f} k/s{_cell(other):>22}"
            f"{'busy' if times is None else f'{times:.1f}':>8}"
        )
    return lines


def _cell(timing: dict[str, Any]) -> str:
    """Return median and quartiles in milliseconds."""
    low, high = map(milliseconds, timing["quartiles"])
    return f"{milliseconds(timing['median'])} ({low} to {high})"


def _notes(results: Sequence[dict[str, Any]], machine: dict[str, Any]) -> Iterator[str]:
    """Yield what the columns mean, and why ratios are missing."""
    yield (
        "medians and quartiles, in turn, of results that agree; encoding included\n"
        "k/s: thousands of samples x timesteps a second; ratio: snnTorch's time over spikemnist's"
    )
    timings = [
        timing
        for network in results
        for contestant in network["contestants"].values()
        for timing in contestant["stages"].values()
    ]
    reasons = [*(timing["busy"] for timing in timings), others_took(machine["share"])]
    busy = next(filter(None, reasons), "")
    if busy and any(
        verdict["why"] for network in results for verdict in network["ratios"].values()
    ):
        yield (
            f"this machine is busy, no ratio: {busy}\nend what else runs on it, and measure again"
        )

"""``spikemnist bench``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._atomic import write_atomically
from spikemnist.benchmark import (
    Oracle,
    Ours,
    SnnTorchLoop,
    Workload,
    compare,
    describe_machine,
    network_jobs,
    trained_weights,
)
from spikemnist.cli.errors import WrongRequest

if TYPE_CHECKING:
    from spikemnist.cli.options import Bench

WORKLOADS = (
    Workload(code="rate"),
    Workload(code="rate", hidden=128),
    Workload(code="latency"),
    Workload(code="direct"),
)
STAGES = ("training step", "inference")
REPEATS, SECONDS = 15, 3.0
"""Calls of each, and seconds after which no more are begun: all of it takes less than a minute."""
HEADER = f"{'network':38}{'':15}{'spikemnist':>20}{'snnTorch':>20}{'ratio':>8}  backend"


def run(command: Bench) -> int:
    """Check, time and tell, one network after the other."""
    if command.json is not None and command.json.is_dir():
        raise WrongRequest(f"--json must name a file; {command.json} is a folder")
    machine = describe_machine()
    print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"torch {torch.__version__}\n"
        "milliseconds, and thousands of samples x timesteps per second; encoding included\n\n"
        f"{HEADER}",
        flush=True,
    )
    results = []
    for workload in WORKLOADS:
        found = measure(workload)
        results.append({**asdict(workload), "contestants": found})
        print(*_rows(workload, found), sep="\n", flush=True)
    print(
        "\nmedians, in turn, of results that agree; ratio: snnTorch's time over spikemnist's\n"
        "it is fair only on a machine that does nothing else"
    )
    if command.json is not None:
        text = json.dumps({"machine": machine, "networks": results}, indent=2) + "\n"
        write_atomically(command.json, lambda file: file.write_text(text, encoding="utf-8"))
    return 0


def measure(workload: Workload) -> dict[str, Any]:
    """Check both, and time those that passed."""
    layers, batch = trained_weights(workload), workload.load()
    everyone = [Ours(layers, "auto", workload), SnnTorchLoop(layers, workload)]
    oracle = Oracle(everyone[1], batch.spikes, batch.labels)
    verdicts = {contestant.name: oracle.check(contestant) for contestant in everyone}
    return compare(
        everyone,
        verdicts,
        lambda contestant: network_jobs(contestant, batch),
        STAGES,
        repeats=REPEATS,
        budget=SECONDS,
    )


def _rows(workload: Workload, found: dict[str, Any]) -> list[str]:
    """Return a line for each stage; none shows a speed of ours that failed the check."""
    ours, theirs = found.values()
    if ours["check"]["why"]:
        return [f"{workload!s:38}not shown: {ours['check']['why']}"]
    lines = []
    for stage in STAGES:
        mine, other = (who["stages"][stage]["median"] for who in (ours, theirs))
        cells = "".join(_cell(workload, seconds) for seconds in (mine, other))
        first = workload if stage == STAGES[0] else ""
        lines.append(f"{first!s:38}{stage:15}{cells}{other / mine:8.1f}  {ours['backend']}")
    return lines


def _cell(workload: Workload, seconds: float) -> str:
    timesteps = workload.batch * workload.num_steps / seconds
    return f"{1e3 * seconds:9.2f} {1e-3 * timesteps:8.0f} k"

"""Time every stage of a network for all candidates, in turn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.candidates import STAGES, SnnTorchLoop, build, names
from benchmarks.comparison import compare, network_jobs
from benchmarks.oracle import check_all
from benchmarks.workload import Batch, Work, Workload, trained_weights

if TYPE_CHECKING:
    from benchmarks.plan import Plan


def measure(workload: Workload, plan: Plan) -> dict[str, Any]:
    """Check the candidates, then time each stage of the candidates that passed.

    Returns
    -------
    dict
        Plain values: the workload, its amount of work, and the result of `compare`.
    """
    layers, batch = trained_weights(workload), workload.load()
    candidates = [build(name, layers, workload) for name in names()]
    checks = check_all(candidates, layers, batch.spikes, batch.labels)
    torch.manual_seed(0)  # for the peers' encoders, which draw from the global generator
    found = compare(
        candidates,
        checks,
        lambda candidate: network_jobs(candidate, batch),
        STAGES,
        repeats=plan.repeats,
        budget=plan.budget,
    )
    work = asdict(count_work(workload, batch))
    return {**asdict(workload), "work": work, "candidates": found}


def count_work(workload: Workload, batch: Batch) -> Work:
    """Count the work of one pass through the oracle network."""
    oracle = SnnTorchLoop(trained_weights(workload))
    hidden, _ = oracle.trace(oracle.prepare_input(batch.spikes))
    return Work.count(workload.sizes, [batch.spikes, hidden[0]])

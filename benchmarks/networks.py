"""Throughput of a network: every stage of every contestant, in turn."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import contestants
from spikemnist.benchmark import (
    STAGES,
    SnnTorchLoop,
    Work,
    compare,
    network_jobs,
    trained_weights,
)

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from spikemnist.benchmark import Batch, Workload


def measure(workload: Workload, plan: Plan) -> dict[str, Any]:
    """Check everyone, then time each stage of those that passed.

    Returns
    -------
    dict
        In plain values: the workload, how much work it is, and what `compare` returns.
    """
    layers, batch = trained_weights(workload), workload.load()
    everyone = [contestants.build(name, layers, workload) for name in contestants.names()]
    verdicts = contestants.check_all(everyone, layers, batch.spikes, batch.labels)
    torch.manual_seed(0)  # of the peers' encoders, which draw from the global generator
    found = compare(
        everyone,
        verdicts,
        lambda contestant: network_jobs(contestant, batch),
        STAGES,
        repeats=plan.repeats,
        budget=plan.budget,
    )
    work = asdict(count_work(workload, batch))
    return {**asdict(workload), "work": work, "contestants": found}


def count_work(workload: Workload, batch: Batch) -> Work:
    """Count what happens in one pass, in the network of the oracle."""
    oracle = SnnTorchLoop(trained_weights(workload))
    hidden, _ = oracle.trace(oracle.lay_out(batch.spikes))
    return Work.count(workload.sizes, [batch.spikes, hidden[0]])

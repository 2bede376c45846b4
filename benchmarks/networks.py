"""Time every stage of a network for all candidates, in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.candidates import (
    STAGES,
    TIMESTEP,
    WHOLE,
    SnnTorchLoop,
    build,
    compiled_names,
    names,
)
from benchmarks.comparison import compare, in_processes, network_jobs
from benchmarks.oracle import check_all
from benchmarks.workload import Batch, Work, Workload, trained_weights

if TYPE_CHECKING:
    from benchmarks.plan import Plan


def measure(workload: Workload, plan: Plan) -> dict[str, Any]:
    """Check the candidates, then time each stage of the candidates that passed.

    At the base point of the plan, all stages are timed. There, and with one image, snnTorch's loops
    run under `torch.compile`, too: in a single process, since compiling takes longest.

    Returns
    -------
    dict
        Plain values: the workload, its amount of work, and the result of `compare`.
    """
    base = replace(plan.base, code=workload.code)
    stages = STAGES if workload == base else WHOLE
    found = in_processes(plan.processes, compared, workload, plan, names(), stages)
    if plan.compiled and workload in (base, replace(base, batch=1)):
        found |= in_processes(1, compared, workload, plan, compiled_names(), stages)
    work = asdict(count_work(workload, workload.load()))
    return {**asdict(workload), "work": work, "candidates": found}


def compared(
    workload: Workload, plan: Plan, wanted: Sequence[str], stages: Sequence[str] = STAGES
) -> dict[str, Any]:
    """Return the result of `compare` for the candidates of these names."""
    layers, batch = trained_weights(workload), workload.load()
    candidates = [build(name, layers, workload) for name in wanted]
    checks = check_all(candidates, layers, batch.spikes, batch.labels)
    torch.manual_seed(0)  # for the peers' encoders, which draw from the global generator
    return compare(
        candidates,
        checks,
        lambda candidate: network_jobs(candidate, batch),
        (*stages, TIMESTEP),
        repeats=plan.repeats,
        budget=plan.budget,
    )


def count_work(workload: Workload, batch: Batch) -> Work:
    """Count the work of one pass through the oracle network."""
    oracle = SnnTorchLoop(trained_weights(workload))
    hidden, _ = oracle.trace(oracle.prepare_input(batch.spikes))
    return Work.count(workload.sizes, [batch.spikes, hidden[0]])

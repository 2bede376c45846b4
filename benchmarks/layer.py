"""Time one Linear and one layer of leaky neurons with dense input.

The sizes are from open-neuromorphic's benchmark of SNN libraries: as many inputs as neurons, a
batch of 16, 500 timesteps, and the gradient of the summed output spikes.
https://open-neuromorphic.org/blog/spiking-neural-network-framework-benchmarking/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks.candidates import TorchCandidate, build, names
from benchmarks.comparison import compare
from benchmarks.oracle import check_all
from benchmarks.workload import first_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.plan import Plan

STAGES = ("forward", "forward+backward")


def measure(width: int, plan: Plan) -> dict[str, Any]:
    """Check the candidates, then time the candidates that passed.

    Returns
    -------
    dict
        Plain values: the sizes, and the result of `compare`.
    """
    layers = first_weights((width, width))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(plan.layer_steps, plan.layer_batch, width, generator=generator)
    candidates = [build(name, layers) for name in names()]
    checks = check_all(candidates, layers, inputs, None)
    found = compare(
        candidates,
        checks,
        lambda candidate: jobs_of(candidate, candidate.prepare_input(inputs)),
        STAGES,
        repeats=plan.repeats,
        budget=plan.budget,
    )
    sizes = {"width": width, "num_steps": plan.layer_steps, "batch": plan.layer_batch}
    return {**sizes, "candidates": found}


def jobs_of(candidate: Any, inputs: Any) -> dict[str, Callable[[], object]]:
    """Return the call of each stage; Spyx has its own, since it compiles both passes as one."""
    if not isinstance(candidate, TorchCandidate):
        return {
            "forward": lambda: candidate.fired(inputs),
            "forward+backward": lambda: candidate.backward_of_sum(inputs),
        }

    def forward() -> torch.Tensor:
        candidate.optimizer.zero_grad(set_to_none=True)
        return candidate.fired(inputs)

    return {
        "forward": forward,
        "forward+backward": lambda: torch.autograd.backward(forward().sum()),
    }

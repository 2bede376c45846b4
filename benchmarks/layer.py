"""One Linear and one layer of leaky neurons, fed with dense numbers.

The shape that open-neuromorphic's benchmark of SNN libraries has: as many inputs as neurons, a
batch of 16, 500 timesteps, and the gradient of the summed output spikes.
https://open-neuromorphic.org/blog/spiking-neural-network-framework-benchmarking/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from benchmarks import contestants
from spikemnist.benchmark import Job, TorchContestant, compare, first_weights

if TYPE_CHECKING:
    from benchmarks.plan import Plan

STAGES = ("forward", "forward+backward")


def measure(width: int, plan: Plan) -> dict[str, Any]:
    """Check everyone, then time those that passed.

    Returns
    -------
    dict
        In plain values: the sizes, and what `compare` returns.
    """
    layers = first_weights((width, width))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(plan.layer_steps, plan.layer_batch, width, generator=generator)
    everyone = [contestants.build(name, layers) for name in contestants.names()]
    verdicts = contestants.check_all(everyone, layers, inputs, None)
    found = compare(
        everyone,
        verdicts,
        lambda contestant: jobs_of(contestant, contestant.lay_out(inputs)),
        STAGES,
        repeats=plan.repeats,
        budget=plan.budget,
    )
    sizes = {"width": width, "num_steps": plan.layer_steps, "batch": plan.layer_batch}
    return {**sizes, "contestants": found}


def jobs_of(contestant: Any, inputs: Any) -> dict[str, Job]:
    """Return what each stage calls; a library that compiles both passes as one has its own."""
    if not isinstance(contestant, TorchContestant):
        return {
            "forward": Job(lambda _: contestant.fired(inputs)),
            "forward+backward": Job(lambda _: contestant.backward_of_sum(inputs)),
        }

    def forward(_: object) -> torch.Tensor:
        contestant.optimizer.zero_grad(set_to_none=True)
        return contestant.fired(inputs)

    return {
        "forward": Job(forward),
        "forward+backward": Job(lambda _: torch.autograd.backward(forward(None).sum())),
    }

"""Measure the overhead of `fit` beyond its training steps."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from benchmarks.timing import time_in_turn
from spikemnist.data import ImageDataset, load_digits
from spikemnist.models import LeakyMLP
from spikemnist.training import fit

if TYPE_CHECKING:
    from benchmarks.plan import Plan
    from benchmarks.workload import Workload

LEARNING_RATE = 1e-3


def measure_fit(workload: Workload, plan: Plan) -> dict[str, Any]:
    """Time one epoch of `fit` and the same steps without `fit`, in turn.

    Returns
    -------
    dict
        Plain values: the network, the number of images, the backend, both timings, and the relative
        overhead of `fit`.
    """
    data, model = load_digits()[0][: plan.epoch], new_model(workload)
    jobs = {
        "fit": lambda: with_fit(copy.deepcopy(model), data, workload),
        "steps": lambda: steps_alone(copy.deepcopy(model), data, workload),
    }
    timings = time_in_turn(jobs, repeats=6)
    share = timings["fit"]["median"] / timings["steps"]["median"] - 1
    with torch.no_grad():
        backend = model(workload.load().spikes).backend
    return {
        "network": str(workload),
        "images": len(data),
        "backend": backend,
        "overhead": share,
        **timings,
    }


def new_model(workload: Workload) -> LeakyMLP:
    """Return an untrained network with the same weights each time."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return LeakyMLP(hidden=(workload.hidden,))


def with_fit(model: LeakyMLP, data: ImageDataset, workload: Workload) -> None:
    """Train for one epoch with `fit`."""
    fit(
        model,
        data,
        encoder=workload.encoder(torch.uint8),
        epochs=1,
        batch_size=workload.batch,
        lr=LEARNING_RATE,
        device="cpu",
        progress=False,
    )


def steps_alone(model: LeakyMLP, data: ImageDataset, workload: Workload) -> None:
    """Run the same encoding, gradients and updates without `fit`."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    encoder, generator = workload.encoder(torch.uint8), torch.Generator().manual_seed(0)
    for images, labels in data.batches(workload.batch, seed=0):
        optimizer.zero_grad(set_to_none=True)
        scores = model(encoder(images, generator=generator)).scores
        torch.autograd.backward(functional.cross_entropy(scores, labels))
        optimizer.step()

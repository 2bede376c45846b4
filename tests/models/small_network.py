"""A network that fires in all its layers, and what it is fed.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from spikemnist.models import LeakyMLP

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist.models import Record

BACKENDS = ["reference", "event_driven", "snntorch"]


def make(seed: int = 0, **options: Any) -> LeakyMLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LeakyMLP(12, (9, 7), 4, **options)
    for layer in model.layers:
        layer.linear.weight.data.mul_(4)
    return model


def spikes(steps: int = 6, batch: int = 3, seed: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, 3, 4, generator=random) < 0.4).float()


def same(one: Record, other: Record) -> bool:
    return (
        torch.equal(one.spikes, other.spikes)
        and torch.equal(one.membrane, other.membrane)
        and torch.equal(one.scores, other.scores)
        and torch.equal(one.spike_counts, other.spike_counts)
    )

"""The energy of a converted network."""

from __future__ import annotations

import torch
from torch import nn

from spikemnist import load_digits, measure_energy
from spikemnist.models import convert


def test_energy_after_each_timestep() -> None:
    images = load_digits()[1][:50]
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        ann = nn.Sequential(nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10))
    energy = measure_energy(convert(ann, images, num_steps=64).classifier, images)
    assert "of dense" in str(energy.table("timesteps"))

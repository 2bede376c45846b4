"""The picture of energy, for the laws of all pictures."""

from __future__ import annotations

import torch

from spikemnist import viz
from spikemnist.encoding import LatencyEncoder
from spikemnist.energy import measure_energy
from spikemnist.models import Classifier, LeakyMLP

IMAGES = torch.randint(256, (30, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
with torch.random.fork_rng():
    torch.manual_seed(0)
    ENERGY = measure_energy(
        Classifier(
            LeakyMLP((8,), in_features=16, out_features=3, backend="reference"),
            LatencyEncoder(num_steps=12),
        ),
        (IMAGES, torch.arange(30) % 3),
        device="cpu",
    )

OF_DATA = [("energy", ENERGY)]
OF_AXES = [("energy", lambda ax: viz.energy(ENERGY, ax=ax))]
OF_CLASSIFIERS = [measure_energy]
"""Functions of a classifier and data."""

"""The picture of energy, and a run that it begins, for the laws of all pictures and runs."""

from __future__ import annotations

from functools import partial

import torch

from spikemnist import viz
from spikemnist.encoding import LatencyEncoder
from spikemnist.energy import measure_energy
from spikemnist.models import Classifier, LeakyMLP
from tests.training.small_runs import new_classifier

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

TO_RESUME = [
    (
        "a rate at the start",
        (partial(new_classifier, threshold=10.0), {"initial_rate": 0.2}),
    )
]

OF_DATA = [("energy", ENERGY)]
OF_AXES = [("energy", lambda ax: viz.energy(ENERGY, ax=ax))]
OF_CLASSIFIERS = [measure_energy]
"""Functions of a classifier and data."""
OBJECTS = [
    (
        "energy draws an Energy of measure_energy.*; got Classifier",
        lambda: viz.energy(new_classifier()),
    )
]
"""Words of the error, and a call with an object of another kind."""

"""Robustness for the tests of all measures and pictures."""

from __future__ import annotations

from spikemnist import viz
from spikemnist.training import Robustness, measure_robustness

MEASURES = [measure_robustness]

LEVELS = ("noise", "shift", "rotation", "dropped spikes")
NETWORKS = {
    name: Robustness(0.98, {level: {1: 0.97, 2: 0.9} for level in LEVELS}, 1000)
    for name in ("mnist-mlp", "mnist-conv", "mnist-sparse")
}
PICTURES = [("robustness", lambda: viz.robustness(NETWORKS))]
OF_OWN_SIZE = PICTURES
OF_CLASSIFIERS = [measure_robustness]
"""Functions of a classifier and data."""

"""Count the operations of a spiking network as NeuroBench does, and estimate their energy.

`measure_energy` runs a network over labelled data once, counts from its Records and compares the
network with an ANN.
"""

from spikemnist.energy.measuring import measure_energy
from spikemnist.energy.results import (
    MEMORIES,
    TECHNOLOGIES,
    EarlyExit,
    Energy,
    Estimate,
    LayerOperations,
    Technology,
)

__all__ = [
    "MEMORIES",
    "TECHNOLOGIES",
    "EarlyExit",
    "Energy",
    "Estimate",
    "LayerOperations",
    "Technology",
    "measure_energy",
]

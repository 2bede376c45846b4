"""What a spiking network's operations cost, counted as NeuroBench does, beside an ANN's.

`measure_energy` runs a network over labelled data once and counts from its Records.
"""

from spikemnist.energy.figures import (
    MEMORIES,
    TECHNOLOGIES,
    EarlyExit,
    Energy,
    Estimate,
    LayerFigures,
    Technology,
)
from spikemnist.energy.measuring import measure_energy

__all__ = [
    "MEMORIES",
    "TECHNOLOGIES",
    "EarlyExit",
    "Energy",
    "Estimate",
    "LayerFigures",
    "Technology",
    "measure_energy",
]

"""Further codes for the laws of all codes, and for other tests."""

from __future__ import annotations

from spikemnist.encoding import (
    BurstEncoder,
    DeltaEncoder,
    PhaseEncoder,
    PopulationEncoder,
    RankOrderEncoder,
)

CERTAIN = [
    DeltaEncoder(num_steps=7),
    PhaseEncoder(num_steps=7),
    BurstEncoder(num_steps=7, max_spikes=3, min_interval=1, max_interval=3),
    RankOrderEncoder(num_steps=7),
    PopulationEncoder(num_steps=7, num_fields=4),
]
"""Codes that draw no random numbers."""

READABLE = [
    DeltaEncoder(num_steps=25),
    DeltaEncoder(num_steps=4, threshold=0.1),
    DeltaEncoder(num_steps=300, threshold=1 / 255),
    PhaseEncoder(num_steps=8),
    PhaseEncoder(num_steps=19, num_phases=5),
    PhaseEncoder(num_steps=3),
    BurstEncoder(num_steps=25),
    BurstEncoder(num_steps=40, max_spikes=3, min_interval=1, max_interval=20),
    BurstEncoder(num_steps=9, max_spikes=4, min_interval=2, max_interval=2),
    BurstEncoder(num_steps=1, max_spikes=1),
    PopulationEncoder(num_steps=10),
    PopulationEncoder(num_steps=25, num_fields=3, overlap=1.0),
    PopulationEncoder(num_steps=2, num_fields=20),
]
"""Codes that can be decoded."""

RESOLUTIONS = [
    (DeltaEncoder(num_steps=25, threshold=0.1), 0.1),
    (DeltaEncoder(num_steps=4, threshold=0.25), 0.25),
    (PhaseEncoder(num_steps=8), 0.0),
    (PhaseEncoder(num_steps=20, num_phases=5), 0.5 / 31),
    (PhaseEncoder(num_steps=3), 1 / 8),
    (BurstEncoder(num_steps=25, max_spikes=5), 0.5 / 5),
    (BurstEncoder(num_steps=40, max_spikes=3, min_interval=1, max_interval=20), 0.5 / 3),
]
"""Codes and the largest error of a decoded pixel."""

ON_MPS = [
    DeltaEncoder(num_steps=4),
    PhaseEncoder(num_steps=4),
    BurstEncoder(num_steps=4, max_spikes=2, max_interval=2),
    RankOrderEncoder(num_steps=4),
    PopulationEncoder(num_steps=4, num_fields=3),
]

INTEGERS = [("num_fields", lambda n: PopulationEncoder(num_fields=n))]
"""Calls with an integer."""

CODES_OF_PIXELS = ["phase", "delta", "burst"]
"""Codes that treat each pixel alone, so that a table of grey values holds them."""

OTHER_CODES = ["rank_order", "population"]

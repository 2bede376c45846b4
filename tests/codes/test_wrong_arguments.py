"""Messages on wrong arguments of the further codes."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from spikemnist.encoding import (
    BurstEncoder,
    DeltaEncoder,
    PhaseEncoder,
    PopulationEncoder,
    RankOrderEncoder,
)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: DeltaEncoder(5, threshold=0.0),
            r"threshold must be a number, above 0 and at most 1",
        ),
        (lambda: DeltaEncoder(5, threshold=math.nan), "at most 1; got nan"),
        (lambda: PhaseEncoder(5, num_phases=17), r"an integer in 1\.\.16; got 17"),
        (lambda: PhaseEncoder(5, num_phases=True), "got True"),
        (lambda: PhaseEncoder(5).decode(torch.zeros(4, 1, 3)), r"T = 5 .*\(4, 1, 3\)"),
        (lambda: PhaseEncoder(5).decode(torch.zeros(5)), r"T = 5 .*\(5,\)"),
        (lambda: BurstEncoder(50, max_spikes=0), r"an integer in 1\.\.100000; got 0"),
        (
            lambda: BurstEncoder(50, min_interval=1.5),
            r"min_interval must be an integer in 1\.\.2; got 1\.5",
        ),
        (
            lambda: BurstEncoder(50, min_interval=6),
            r"min_interval must be an integer in 1\.\.2; got 6",
        ),
        (lambda: BurstEncoder(9, max_spikes=10**9), "got 1000000000"),
        (lambda: BurstEncoder(6), "the longest burst ends on timestep"),
        (lambda: RankOrderEncoder(5, threshold=1.0), "at least 0 and below 1; got 1.0"),
        (lambda: PopulationEncoder(5, num_fields=2), "integer >= 3; got 2"),
        (lambda: PopulationEncoder(5, overlap=0.0), "above 0 and finite; got 0"),
        (lambda: PopulationEncoder(5, threshold=0.0), "above 0 and below 1; got 0.0"),
        (lambda: PopulationEncoder(5, overlap=8.0), "would be silent"),
    ],
)
def test_values(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

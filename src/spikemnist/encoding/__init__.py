"""Encode images or events as spike trains, ``[B, ...] -> [T, B, ...]``, with one protocol.

The room stands on no other; `models` and `training` stand on it.
Import its names from here; its modules are internal.

The encoders of the package are listed here alone, and imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy
from spikemnist.encoding import registry
from spikemnist.encoding.registry import available_encoders as available_encoders
from spikemnist.encoding.registry import get_encoder as get_encoder
from spikemnist.encoding.registry import register_encoder as register_encoder

ENCODERS = {
    "burst": "spikemnist.codes.burst.BurstEncoder",
    "delta": "spikemnist.codes.delta.DeltaEncoder",
    "direct": "spikemnist.encoding.direct.DirectEncoder",
    "events": "spikemnist.events.event_encoder.EventEncoder",
    "latency": "spikemnist.encoding.latency.LatencyEncoder",
    "phase": "spikemnist.codes.phase.PhaseEncoder",
    "population": "spikemnist.codes.population.PopulationEncoder",
    "rank_order": "spikemnist.codes.rank.RankOrderEncoder",
    "rate": "spikemnist.encoding.rate.RateEncoder",
}
"""Doors to the class of each code, by its name; the rooms of some may be missing."""

if TYPE_CHECKING:
    from spikemnist.codes.burst import BurstEncoder as BurstEncoder
    from spikemnist.codes.delta import DeltaEncoder as DeltaEncoder
    from spikemnist.codes.measure import CodeMeasure as CodeMeasure
    from spikemnist.codes.measure import measure_code as measure_code
    from spikemnist.codes.phase import PhaseEncoder as PhaseEncoder
    from spikemnist.codes.population import PopulationEncoder as PopulationEncoder
    from spikemnist.codes.rank import RankOrderEncoder as RankOrderEncoder
    from spikemnist.encoding.direct import DirectEncoder as DirectEncoder
    from spikemnist.encoding.latency import LatencyEncoder as LatencyEncoder
    from spikemnist.encoding.protocol import Encoder as Encoder
    from spikemnist.encoding.rate import RateEncoder as RateEncoder
    from spikemnist.events.event_encoder import EventEncoder as EventEncoder
else:
    _MODULES = {
        ".direct": "DirectEncoder",
        ".latency": "LatencyEncoder",
        ".protocol": "Encoder",
        ".rate": "RateEncoder",
        "spikemnist.codes.burst": "BurstEncoder",
        "spikemnist.codes.delta": "DeltaEncoder",
        "spikemnist.codes.measure": "CodeMeasure measure_code",
        "spikemnist.codes.phase": "PhaseEncoder",
        "spikemnist.codes.population": "PopulationEncoder",
        "spikemnist.codes.rank": "RankOrderEncoder",
        "spikemnist.events.event_encoder": "EventEncoder",
    }
    __getattr__, __dir__, _lazy_names = lazy(__name__, _MODULES)
    __all__ = ["available_encoders", "get_encoder", "register_encoder", *_lazy_names]

registry.provide(ENCODERS)

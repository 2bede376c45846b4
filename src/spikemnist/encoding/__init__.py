"""Encode images or events as spike trains, ``[B, ...] -> [T, B, ...]``, with one protocol.

Import its names from here; its modules are internal.

An encoder of the package is listed here alone, and imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy
from spikemnist.encoding import registry
from spikemnist.encoding.registry import available_encoders as available_encoders
from spikemnist.encoding.registry import get_encoder as get_encoder
from spikemnist.encoding.registry import register_encoder as register_encoder

ENCODERS = {
    "burst": "spikemnist.encoding.burst.BurstEncoder",
    "delta": "spikemnist.encoding.delta.DeltaEncoder",
    "direct": "spikemnist.encoding.direct.DirectEncoder",
    "events": "spikemnist.events.event_encoder.EventEncoder",
    "latency": "spikemnist.encoding.latency.LatencyEncoder",
    "phase": "spikemnist.encoding.phase.PhaseEncoder",
    "population": "spikemnist.encoding.population.PopulationEncoder",
    "rank_order": "spikemnist.encoding.rank.RankOrderEncoder",
    "rate": "spikemnist.encoding.rate.RateEncoder",
}
"""Module and class of each code by its name."""

if TYPE_CHECKING:
    from spikemnist.encoding.burst import BurstEncoder as BurstEncoder
    from spikemnist.encoding.delta import DeltaEncoder as DeltaEncoder
    from spikemnist.encoding.direct import DirectEncoder as DirectEncoder
    from spikemnist.encoding.latency import LatencyEncoder as LatencyEncoder
    from spikemnist.encoding.measure import CodeMeasure as CodeMeasure
    from spikemnist.encoding.measure import measure_code as measure_code
    from spikemnist.encoding.phase import PhaseEncoder as PhaseEncoder
    from spikemnist.encoding.population import PopulationEncoder as PopulationEncoder
    from spikemnist.encoding.protocol import Encoder as Encoder
    from spikemnist.encoding.rank import RankOrderEncoder as RankOrderEncoder
    from spikemnist.encoding.rate import RateEncoder as RateEncoder
    from spikemnist.events.event_encoder import EventEncoder as EventEncoder
else:
    _CLASSES = {module: kind for module, _, kind in (x.rpartition(".") for x in ENCODERS.values())}
    _MODULES = {**_CLASSES, ".measure": "CodeMeasure measure_code", ".protocol": "Encoder"}
    __getattr__, __dir__, _lazy_names = lazy(__name__, _MODULES)
    __all__ = ["available_encoders", "get_encoder", "register_encoder", *_lazy_names]

registry.provide(ENCODERS)

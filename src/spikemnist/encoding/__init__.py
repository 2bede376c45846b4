"""Encode images or events as spike trains, ``[B, ...] -> [T, B, ...]``, with one protocol."""

from spikemnist.encoding.burst import BurstEncoder
from spikemnist.encoding.delta import DeltaEncoder
from spikemnist.encoding.direct import DirectEncoder
from spikemnist.encoding.event_encoder import EventEncoder
from spikemnist.encoding.latency import LatencyEncoder
from spikemnist.encoding.measure import CodeMeasure, measure_code
from spikemnist.encoding.phase import PhaseEncoder
from spikemnist.encoding.population import PopulationEncoder
from spikemnist.encoding.protocol import Encoder
from spikemnist.encoding.rank import RankOrderEncoder
from spikemnist.encoding.rate import RateEncoder
from spikemnist.encoding.registry import available_encoders, get_encoder, register_encoder

__all__ = [
    "BurstEncoder",
    "CodeMeasure",
    "DeltaEncoder",
    "DirectEncoder",
    "Encoder",
    "EventEncoder",
    "LatencyEncoder",
    "PhaseEncoder",
    "PopulationEncoder",
    "RankOrderEncoder",
    "RateEncoder",
    "available_encoders",
    "get_encoder",
    "measure_code",
    "register_encoder",
]

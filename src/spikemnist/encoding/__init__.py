"""Images to spike trains ``[B, ...] -> [T, B, ...]``, behind one protocol."""

from spikemnist.encoding.direct import DirectEncoder
from spikemnist.encoding.latency import LatencyEncoder
from spikemnist.encoding.protocol import Encoder
from spikemnist.encoding.rate import RateEncoder
from spikemnist.encoding.registry import (
    available_encoders,
    describe_encoder,
    get_encoder,
    register_encoder,
)

__all__ = [
    "DirectEncoder",
    "Encoder",
    "LatencyEncoder",
    "RateEncoder",
    "available_encoders",
    "describe_encoder",
    "get_encoder",
    "register_encoder",
]

"""The engine for the tests of all that runs a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from spikemnist.encoding import LatencyEncoder
from spikemnist.engine import autograd
from spikemnist.models import LeakyConvNet, LeakyMLP
from spikemnist.ops.layer import LayerOutput, LayerParams
from tests.training.small_runs import DIRECT, RANDOM


def by_engine(
    spikes: Tensor, layers: Sequence[LayerParams], *, record: str, final: bool
) -> list[LayerOutput]:
    return autograd.run(layers, spikes, record=record, final=final)


RUNNERS = [("engine", by_engine)]

MLP = partial(LeakyMLP, hidden=(200,), threshold=0.2, backend="event_driven")
CONV = partial(LeakyConvNet, "4C5-P4-10", backend="event_driven")
LEARNED = partial(MLP, learn_beta=True, learn_threshold=True, dropout=0.2)
LATENCY = LatencyEncoder(num_steps=6)

THREADS = [
    ("direct", (partial(MLP, dropout=0.2), DIRECT, (3, 3))),
    ("two hidden layers", (partial(MLP, hidden=(130, 70)), DIRECT, (3, 3))),
    ("convolutions", (partial(CONV, batch_norm=True), DIRECT, (3, 3))),
    ("rate", (MLP, RANDOM, (1, 3))),
    ("rate, learned", (LEARNED, RANDOM, (1, 3))),
    ("latency", (MLP, LATENCY, (1, 3))),
    ("latency, learned", (LEARNED, LATENCY, (1, 3))),
]
"""The numbers may differ for one hidden layer that is fed spikes, where torch takes no part."""

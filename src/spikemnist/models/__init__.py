"""Networks of `snntorch.Leaky` neurons, their records and their files."""

from spikemnist.models.builders import LeakyConvNet, LeakyMLP, accelerate
from spikemnist.models.classifier import Classifier
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.network_options import NetworkOptions
from spikemnist.models.pretrained import available_pretrained
from spikemnist.models.readout import (
    READOUTS,
    decide,
    first_spike_times,
    get_readout,
    running_scores,
)
from spikemnist.models.record import LayerRecord, Record

__all__ = [
    "READOUTS",
    "Classifier",
    "LayerRecord",
    "LeakyConvNet",
    "LeakyMLP",
    "NetworkOptions",
    "Record",
    "SpikingNetwork",
    "accelerate",
    "available_pretrained",
    "decide",
    "first_spike_times",
    "get_readout",
    "running_scores",
]

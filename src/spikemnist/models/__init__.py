"""Networks of `snntorch.Leaky` neurons, their records and their files."""

from spikemnist.models.builders import LeakyConvNet, LeakyMLP, accelerate
from spikemnist.models.files import load_model, model_metadata, save_model
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.options import NetworkOptions
from spikemnist.models.pretrained import available_pretrained, load_pretrained
from spikemnist.models.readout import READOUTS, first_spike_times, running_scores
from spikemnist.models.record import LayerRecord, Record, decide

__all__ = [
    "READOUTS",
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
    "load_model",
    "load_pretrained",
    "model_metadata",
    "running_scores",
    "save_model",
]

"""Networks of `snntorch.Leaky` neurons, what they record, and how they are saved."""

from spikemnist.models.accelerated import Accelerated, accelerate
from spikemnist.models.files import load_model, model_metadata, save_model
from spikemnist.models.leaky_mlp import LeakyMLP
from spikemnist.models.readout import READOUTS, running_scores
from spikemnist.models.record import LayerRecord, Record, decide

__all__ = [
    "READOUTS",
    "Accelerated",
    "LayerRecord",
    "LeakyMLP",
    "Record",
    "accelerate",
    "decide",
    "load_model",
    "model_metadata",
    "running_scores",
    "save_model",
]

"""Training and evaluation: backpropagation through time with surrogate gradients."""

from spikemnist.training.callbacks import Callback, csv_logger, tensorboard
from spikemnist.training.devices import available_devices, select_device
from spikemnist.training.evaluation import Evaluation, evaluate
from spikemnist.training.fitting import fit
from spikemnist.training.history import EpochMetrics, History
from spikemnist.training.losses import (
    L1Spikes,
    Regularized,
    SmoothedCrossEntropy,
    SnnTorchLoss,
    SpikeTimeCrossEntropy,
    SpikeTimeMSE,
    TargetRate,
    cross_entropy,
)
from spikemnist.training.robustness import Robustness, measure_robustness

__all__ = [
    "Callback",
    "EpochMetrics",
    "Evaluation",
    "History",
    "L1Spikes",
    "Regularized",
    "Robustness",
    "SmoothedCrossEntropy",
    "SnnTorchLoss",
    "SpikeTimeCrossEntropy",
    "SpikeTimeMSE",
    "TargetRate",
    "available_devices",
    "cross_entropy",
    "csv_logger",
    "evaluate",
    "fit",
    "measure_robustness",
    "select_device",
    "tensorboard",
]

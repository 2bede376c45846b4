"""Training and evaluation: backpropagation through time with surrogate gradients.

The room stands on `data`, `encoding` and `models`; `viz` stands on it.
Import its names from here; its modules are internal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy

if TYPE_CHECKING:
    from spikemnist._evaluation import Evaluation as Evaluation
    from spikemnist.energy.doctor import diagnose as diagnose
    from spikemnist.energy.initial_rates import initialize as initialize
    from spikemnist.models.devices import available_devices as available_devices
    from spikemnist.models.devices import select_device as select_device
    from spikemnist.robustness.disturbances import Robustness as Robustness
    from spikemnist.robustness.disturbances import measure_robustness as measure_robustness
    from spikemnist.training.callbacks import Callback as Callback
    from spikemnist.training.callbacks import csv_logger as csv_logger
    from spikemnist.training.config import TrainConfig as TrainConfig
    from spikemnist.training.evaluation import evaluate as evaluate
    from spikemnist.training.loop import fit as fit
    from spikemnist.training.losses import L1Spikes as L1Spikes
    from spikemnist.training.losses import Regularized as Regularized
    from spikemnist.training.losses import SmoothedCrossEntropy as SmoothedCrossEntropy
    from spikemnist.training.losses import SnnTorchLoss as SnnTorchLoss
    from spikemnist.training.losses import SpikeTimeCrossEntropy as SpikeTimeCrossEntropy
    from spikemnist.training.losses import SpikeTimeMSE as SpikeTimeMSE
    from spikemnist.training.losses import TargetRate as TargetRate
    from spikemnist.training.losses import cross_entropy as cross_entropy
    from spikemnist.training.metrics import EpochMetrics as EpochMetrics
    from spikemnist.training.metrics import History as History
    from spikemnist.training.metrics import TrainingWarning as TrainingWarning
    from spikemnist.training.recipe import Recipe as Recipe
    from spikemnist.training.recipe import recipes as recipes
else:
    _MODULES = {
        "spikemnist._evaluation": "Evaluation",
        "spikemnist.energy.doctor": "diagnose",
        "spikemnist.energy.initial_rates": "initialize",
        "spikemnist.models.devices": "available_devices select_device",
        ".callbacks": "Callback csv_logger",
        ".config": "TrainConfig",
        ".evaluation": "evaluate",
        ".loop": "fit",
        ".losses": "L1Spikes Regularized SmoothedCrossEntropy SnnTorchLoss SpikeTimeCrossEntropy "
        "SpikeTimeMSE TargetRate cross_entropy",
        ".metrics": "EpochMetrics History TrainingWarning",
        ".recipe": "Recipe recipes",
        "spikemnist.robustness.disturbances": "Robustness measure_robustness",
    }
    __getattr__, __dir__, __all__ = lazy(__name__, _MODULES)

"""What a trained network is worth: accuracy, confusion, spikes, time to a decision.

Shapes: ``T`` timesteps, ``C`` classes, ``L`` layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a model on a labelled set.

    Attributes
    ----------
    accuracy
        Share of samples whose predicted class is the label.
    loss
        Mean loss per sample.
    confusion
        ``[C, C]``, int64: row = label, column = prediction.
    spikes_per_sample
        Mean number of spikes for one sample, by layer: ``"input"``, ``"hidden 1"``, ...,
        ``"output"``. The input counts non-zero entries, so a direct code counts its lit pixels
        at every timestep.
    silent
        Share of samples for which no output neuron fired.
    tied
        Share of samples for which two classes or more shared the highest score.
    accuracy_per_step
        ``[T]``, the accuracy if the decision were taken after each timestep.
    samples
        How many samples were judged.
    backend
        Name of the backend that ran.
    seconds
        Wall-clock time, encoding included.
    """

    accuracy: float
    loss: float
    confusion: Tensor
    spikes_per_sample: dict[str, float]
    silent: float
    tied: float
    accuracy_per_step: Tensor
    samples: int
    backend: str
    seconds: float

"""The settings of a training run, the only list of them.

Nothing heavy is imported here, so that the command line can show them at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikemnist._names import AugmentationName, LossName, OptimizerName, ScheduleName
    from spikemnist.data import Augmentation
    from spikemnist.training.losses import Loss
    from spikemnist.training.optimizers import OptimizerFactory
    from spikemnist.training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of `fit`, with the defaults of ``spikemnist train``.

    Parameters
    ----------
    epochs : int, default 10
        Number of passes over the training data.
    batch_size : int, default 64
        Number of samples per batch. An iterable has its own batches.
    lr : float, default 0.01
        Learning rate, at its peak.
    optimizer : str or callable, default "adam"
        Optimiser; sgd has a momentum of 0.9. Or a function that is called as
        ``function(parameters, lr=lr)``, such as ``torch.optim.RMSprop``.
    schedule : str or callable, default "one_cycle"
        Factor on the learning rate over the run. ``"one_cycle"`` rises for the first 30 % and falls
        to zero; or a function of the progress in [0, 1].
    loss : str or callable, default "cross_entropy"
        Loss of the class scores, or of the times of the first output spikes. Or a function of
        record and labels that returns the mean loss of the batch, a scalar tensor. A loss of
        torch takes scores: ``lambda record, labels: F.cross_entropy(record.scores, labels)``. A
        loss of snnTorch is wrapped in `SnnTorchLoss`.
    label_smoothing : float, default 0.0
        Share of a label that is spread over all classes, in [0, 1), with ``"cross_entropy"``.
    spike_penalty : float, default 0.0
        Cost in the loss of each hidden spike of a sample. See `L1Spikes`.
    clip_norm : float, default None
        Largest norm of the whole gradient. Longer gradients are scaled down to it.
    truncate : int, default None
        Number of timesteps after which the gradient through time is cut. Each chunk starts from
        the detached membranes of the chunk before, and its loss counts by its share of the
        timesteps. Memory grows with the chunk, not with ``T``.
    patience : int, default None
        Number of epochs without a lower validation loss after which the run stops early.
    augment : tuple of str, or spikemnist.data.Augmentation, default ()
        Random changes of the training images, drawn anew in each epoch. Affine rotates, shifts,
        scales and shears, elastic bends, erase draws a black rectangle; or an augmentation such as
        `spikemnist.data.RandomAffine`. Validation images stay unchanged. The random numbers are
        drawn on the CPU, so the images are the same on every device, within rounding.
    weight_decay : float, default None
        Decay of the weights, but not of the biases. Beta, thresholds and the scales of batch
        normalisation do not decay either. ``"adamw"`` subtracts the decay from the weights, the
        other optimisers add it to the gradient.
    ema : float, default None
        Decay per step of a moving average of the weights, such as 0.999. That averages about the
        last thousand steps. Validation and callbacks see the average, and the network
        ends with it.
    seed : int, default 0
        Seed for shuffling, augmentation, encoding and dropout. It does not affect the initial
        weights, which were drawn when the network was built.

    Raises
    ------
    ValueError
        If a setting is out of its range.

    Examples
    --------
    >>> config = TrainConfig(epochs=3, augment=("affine",))
    >>> config.lr, config.schedule
    (0.01, 'one_cycle')
    """

    epochs: int = 10
    batch_size: int = 64
    lr: float = 1e-2
    optimizer: OptimizerName | OptimizerFactory = "adam"
    schedule: ScheduleName | Schedule = "one_cycle"
    loss: LossName | Loss = "cross_entropy"
    label_smoothing: float = 0.0
    spike_penalty: float = 0.0
    clip_norm: float | None = None
    truncate: int | None = None
    patience: int | None = None
    augment: tuple[AugmentationName, ...] | Augmentation = ()
    weight_decay: float | None = None
    ema: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "truncate", "patience"):
            count = getattr(self, name)
            if count is None and name in ("truncate", "patience"):
                continue
            if isinstance(count, bool) or not isinstance(count, Integral) or count < 1:
                raise ValueError(f"{name} must be an integer >= 1; got {count!r}")
            object.__setattr__(self, name, int(count))  # a checkpoint holds no NumPy numbers
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr must be positive and finite; got {self.lr}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be positive; got {self.clip_norm}")
        for name in ("weight_decay", "spike_penalty"):
            number = getattr(self, name)
            if number is not None and not 0 <= number < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite; got {number}")
        for name in ("ema", "label_smoothing"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise ValueError(f"{name} must be at least 0 and below 1; got {share}")
        if self.label_smoothing and self.loss != "cross_entropy":
            raise ValueError(
                f"label_smoothing needs the loss 'cross_entropy'; got {self.loss!r}. Use "
                "SmoothedCrossEntropy in a loss of your own"
            )
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be an integer from 0 to 2**63 - 1; got {self.seed}")
        object.__setattr__(self, "lr", float(self.lr))
        object.__setattr__(self, "seed", int(self.seed))

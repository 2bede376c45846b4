"""The settings of a training run, the only list of them.

Nothing heavy is imported here, so that the command line can show them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikemnist._arguments import SEEDS, named, set_numbers

if TYPE_CHECKING:
    from spikemnist._names import AugmentationName, LossName, OptimizerName, ScheduleName
    from spikemnist.data import Augmentation
    from spikemnist.training.losses import Loss
    from spikemnist.training.optim import OptimizerFactory, Schedule

_SPANS = {
    **dict.fromkeys(("epochs", "batch_size", "truncate", "patience"), "1.."),
    **dict.fromkeys(("weight_decay", "spike_penalty"), "[0, inf)"),
    "label_smoothing": "[0, 1)",
    "initial_rate": "(0, 1)",
    "lr": "(0, inf)",
    "clip_norm": "(0, inf]",
    "seed": SEEDS,
}


@named()
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
        timesteps. Memory grows with the chunk, not with ``T``. A readout of your own must take any
        number of timesteps, and say so by its attribute ``running = True``.
    patience : int, default None
        Number of epochs without a lower validation loss after which the run stops early.
    augment : tuple of str, or spikemnist.data.Augmentation, default ()
        Random changes of the training images, drawn anew in each epoch. Affine rotates, shifts,
        scales and shears, elastic bends, erase draws a black rectangle, flip mirrors left to right;
        or an augmentation such as `spikemnist.data.RandomAffine`, or several in a
        `spikemnist.data.Compose`. Validation images stay unchanged. The random numbers are drawn on
        the CPU, so the images are the same on every device, within rounding.
    weight_decay : float, default None
        Decay of the weights, but not of the biases; by default 0.01 with ``"adamw"``, else none.
        Beta, thresholds and the scales of batch normalisation do not decay either. ``"adamw"``
        subtracts the decay from the weights, the other optimisers add it to the gradient. An
        optimiser without it, such as ``torch.optim.Rprop``, is refused.
    initial_rate : float, default None
        Firing rate at the start, in spikes per neuron and timestep, such as 0.1. `initialize` then
        scales the weights of each layer on a first batch, for which an iterable is read once more.
        A resumed run has its weights already.
    seed : int, default 0
        Seed for shuffling, augmentation, encoding and dropout. It does not affect the initial
        weights, which were drawn when the network was built: give it a ``seed``, or call
        `torch.manual_seed` before that, so that runs with equal seeds are equal.

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
    initial_rate: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        set_numbers(self, **_SPANS)  # a checkpoint holds no NumPy numbers
        if self.label_smoothing and self.loss != "cross_entropy":
            raise ValueError(
                f"label_smoothing needs the loss 'cross_entropy'; got {self.loss!r}. Use "
                "SmoothedCrossEntropy in a loss of your own"
            )

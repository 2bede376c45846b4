"""Look at a network before it is trained: one batch, forward and backward."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spikemnist._seeds import seeded
from spikemnist.models.layer_table import check_network
from spikemnist.training import findings
from spikemnist.training.average import loaded
from spikemnist.training.backpropagation import examine
from spikemnist.training.config import TrainConfig
from spikemnist.training.devices import parameter_dtype, select_device
from spikemnist.training.feed import make_feed
from spikemnist.training.initialisation import start_from_data
from spikemnist.training.losses import make_loss
from spikemnist.training.monitor import EpochMonitor
from spikemnist.training.optimizers import make_optimizer
from spikemnist.training.run import Run
from spikemnist.training.steps import train_step

if TYPE_CHECKING:
    import torch

    from spikemnist.models import Classifier, Summary
    from spikemnist.training.feed import Data

SAMPLES = 64
"""Images to look at, and to learn by heart."""

STEPS = 50
"""Most training steps to learn them."""


def diagnose(
    classifier: Classifier,
    train: Data,
    config: TrainConfig | None = None,
    *,
    device: str | torch.device = "auto",
) -> Summary:
    """Look at a classifier before it is trained, and say what would keep it from learning.

    One batch runs forward and backward in training mode, for the table of `spikemnist.summary` with
    the columns of the backward pass. Then the network is trained on this batch alone, for 50 steps
    at most, with the settings of ``config`` and a constant learning rate: a network that cannot
    learn 64 images by heart will not learn thousands. At the end its weights, statistics and
    gradients are what they were, and so are the global random numbers.

    Parameters
    ----------
    classifier : Classifier
        Network and encoder. They are moved to the device, as by `fit`.
    train : ImageDataset, EventDataset, tuple of torch.Tensor, or iterable of such tuples
        Training data, as in `fit`; 64 samples of a dataset or of tensors are used, or the first
        batch of an iterable.
    config : TrainConfig, default TrainConfig()
        Settings of the run: optimiser, learning rate, loss, clipping, weight decay, truncation and
        initial rate count.
    device : str or torch.device, default "auto"
        Device to compute on: see `select_device`.

    Returns
    -------
    Summary
        The table of the layers, with the findings below.

    Raises
    ------
    TypeError, ValueError
        If the network is no `spikemnist.models.SpikingNetwork`, or the data do not fit.
    FloatingPointError
        If loss or gradient become NaN or infinite, with the likely cause.

    Warns
    -----
    TrainingWarning
        As `fit`, if a layer cannot fire at ``initial_rate`` or the uint8 images are dark.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> classifier = Classifier(LeakyMLP(hidden=100, threshold=0.3), "latency")
    >>> diagnosis = diagnose(classifier, load_digits()[0])
    >>> diagnosis.findings, diagnosis.learned
    ((), 1.0)
    """
    network = check_network(classifier, "diagnose")
    config = replace(config or TrainConfig(), schedule="constant")
    target = select_device(device, dtype=parameter_dtype(classifier))
    classifier.to(target)
    feed = make_feed(train, SAMPLES, target, "train")
    monitor, right = EpochMonitor(), 0
    with loaded(network, network.state_dict()), seeded(config.seed, target) as generator:
        start_from_data(classifier, feed, config, target)
        run = Run(
            classifier=classifier,
            model=network.train(),
            feed=feed,
            validation=None,
            optimizer=make_optimizer(config.optimizer, network, config.lr, config.weight_decay),
            config=config,
            loss=make_loss(config.loss, config.label_smoothing, config.spike_penalty),
            augment=None,
        )
        run.start(None)
        images, labels = next(feed.batches(config.seed))
        spikes = classifier.encode(images, generator=generator)
        table = examine(network, run.initial, (spikes, labels), run.loss, config.seed)
        while right < len(labels) and monitor.batches < STEPS:
            before = monitor.correct
            train_step(run, spikes, labels, monitor)
            right = monitor.correct - before
        texts = [*findings.of_training(monitor, config, network, run.initial, table.layers)]
    if right < 0.9 * len(labels):  # otherwise training wakes the layers that are silent at first
        texts = texts or [*findings.of_layers(table.layers, monitor.needed)]
    return replace(table, findings=tuple(texts), learned=right / len(labels))

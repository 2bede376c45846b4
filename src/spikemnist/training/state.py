"""The state of a training, on which the loop works, and how it begins."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from spikemnist._arguments import must_be, takes
from spikemnist._doors import import_object
from spikemnist.data import Augmentation, ImageDataset
from spikemnist.data.augmentation import get_augmentation
from spikemnist.data.dataset import LabelledDataset
from spikemnist.data.feed import (
    Data,
    Feed,
    by_name,
    describe_data,
    first_findings,
    hold_out,
    make_feed,
    sample_shape,
)
from spikemnist.models import Classifier, SpikingNetwork
from spikemnist.models.classifier import check_classifier
from spikemnist.models.devices import parameter_dtype, select_device
from spikemnist.models.readout import is_running
from spikemnist.training.config import TrainConfig
from spikemnist.training.losses import Loss, has_parameters, make_loss
from spikemnist.training.metrics import History, TrainingWarning
from spikemnist.training.optim import get_schedule, make_optimizer
from spikemnist.training.recipe import Recipe
from spikemnist.training.team import OneProcess

START = "spikemnist.energy.initial_rates.start_from_data"
"""What scales the weights by the first batch, for an initial rate."""


@dataclass
class Training:
    """The state of a training: what `fit` works on from batch to batch.

    ``model`` runs the network, in a ``team`` of several processes through torch's
    `DistributedDataParallel`. ``rates`` are the peak learning rates of the optimiser's parameter
    groups, ``first_loss`` is that of the first batch in this process.
    """

    classifier: Classifier
    model: nn.Module
    feed: Feed
    validation: Feed | None
    optimizer: torch.optim.Optimizer
    rates: list[float]
    config: TrainConfig
    loss: Loss
    augment: Augmentation | None
    history: History
    best: dict[str, Tensor] | None = None
    first_loss: float = 0.0
    team: OneProcess = field(default_factory=OneProcess)

    @property
    def network(self) -> nn.Module:
        """The network, whose weights are trained."""
        return self.classifier.network

    @property
    def lr(self) -> float:
        """The learning rate of the last batch, the largest of the parameter groups."""
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""
        return len(self.history) >= self.config.epochs or self.history.stopped_early

    def set_lr(self, epoch: int, batch: int) -> None:
        """Set the learning rates of a batch by the schedule."""
        batches = self.feed.num_batches
        progress = (epoch - 1 + (batch / batches if batches else 0.0)) / self.config.epochs
        # A schedule may return a NumPy number or a tensor, but a checkpoint holds plain numbers.
        factor = float(get_schedule(self.config.schedule)(progress))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def start(self) -> None:
        """Scale the weights by the first batch, if an initial rate is asked for.

        Raises
        ------
        ImportError
            If the room that does so is missing.
        """
        if self.config.initial_rate is not None:
            import_object(START)(
                self.classifier, self.feed, self.config.initial_rate, self.config.seed
            )

    def join(self, team: OneProcess) -> None:
        """Let several processes train the network, from the weights of the first one."""
        self.team, self.model = team, team.wrap(self.network)

    def load_best(self) -> None:
        """Load the weights of the best epoch into the network, if there is one."""
        if self.best is not None:
            self.network.load_state_dict(self.best)


def check_request(
    classifier: Classifier,
    config: TrainConfig,
    train: Data,
    validation: Data | float | None,
    callbacks: object,
) -> None:
    """Refuse settings that do not fit the data, and callbacks that would fail after an epoch.

    Warn of a loss with parameters.
    """
    check_classifier(classifier, "fit")
    if not isinstance(config, TrainConfig):
        expected = "a TrainConfig, as in fit(classifier, train, TrainConfig(epochs=5))"
        raise must_be("config", expected, config, TypeError)
    if not isinstance(callbacks, (list, tuple)) or not all(
        takes(callback, 2) for callback in callbacks
    ):
        expected = "a list of functions of history and classifier, called after each epoch, such as"
        raise must_be("callbacks", f"{expected} [csv_logger('metrics.csv')]", callbacks)
    if config.patience is not None and validation is None:
        raise ValueError("patience needs validation data: pass validation=0.1, for example")
    get_schedule(config.schedule)
    if has_parameters(config.loss):
        warnings.warn(
            "the loss has parameters, which fit does not train: put them into the network",
            TrainingWarning,
            stacklevel=4,  # the caller of `fit`
        )
    for text in first_findings(train):
        warnings.warn(text, TrainingWarning, stacklevel=4)
    of_images = isinstance(train, ImageDataset) or not isinstance(train, LabelledDataset)
    if get_augmentation(config.augment) is not None and not of_images:
        raise ValueError(
            f"augment needs images, but train is an {type(train).__name__}; change its samples "
            "with train.transformed()"
        )


def describe_run(
    classifier: Classifier, train: Data, validation: Data | float | None, config: TrainConfig
) -> dict[str, Any]:
    """Return the description of a run: its recipe, and its data."""
    recipe = Recipe.of(classifier, config, sample_shape(train)).to_json()
    data = describe_data(train, validation)
    return {**recipe, "data": data, "threads": torch.get_num_threads()}


def new_training(
    classifier: Classifier,
    train: Data,
    validation: Data | float | None,
    config: TrainConfig,
    device: str | torch.device,
) -> Training:
    """Return the state of a training before its first epoch, in one process."""
    target = select_device(device, dtype=parameter_dtype(classifier))
    loss = make_loss(config.loss, config.label_smoothing, config.spike_penalty)
    steps, network = classifier.encoder.num_steps, classifier.network
    whole = isinstance(network, SpikingNetwork) and not is_running(network.readout)
    if whole and (config.truncate or steps) < steps:
        expected = f"{steps} or more, the timesteps, unless the readout has running = True"
        raise must_be("truncate", expected, config.truncate)
    train, validation = hold_out(train, validation, config.seed)
    classifier.to(target)
    names = classifier.classes or (train.classes if isinstance(train, LabelledDataset) else ())
    feed = make_feed(by_name(train, names), config.batch_size, target, "train")
    if any(isinstance(module, nn.BatchNorm1d) for module in network.modules()):
        feed = replace(feed, least=2)
    optimizer = make_optimizer(config.optimizer, network, config.lr, config.weight_decay)
    return Training(
        classifier=classifier,
        model=network,
        feed=feed,
        validation=None
        if validation is None
        else make_feed(by_name(validation, names), config.batch_size, target, "validation"),
        optimizer=optimizer,
        rates=[float(group["lr"]) for group in optimizer.param_groups],
        config=config,
        loss=loss,
        augment=get_augmentation(config.augment),
        history=History(device=str(target)),
    )

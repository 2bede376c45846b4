"""The state of a training run, and the training of one epoch."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spikemnist._checkpoints import check_settings
from spikemnist._progress import progress_bar
from spikemnist._seeds import derive_seed
from spikemnist.training import processes
from spikemnist.training.checkpoint import Checkpoint, restore, save_checkpoint
from spikemnist.training.evaluation import evaluate_feed
from spikemnist.training.history import EpochMetrics, History
from spikemnist.training.monitor import (
    EpochMonitor,
    check_finite,
    check_weights,
    overfits,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import torch
    from torch import nn
    from tqdm import tqdm

    from spikemnist._interrupt import Interruption
    from spikemnist.data import Augmentation
    from spikemnist.models import Classifier
    from spikemnist.training.average import MovingAverage
    from spikemnist.training.checkpoint import Weights
    from spikemnist.training.config import TrainConfig
    from spikemnist.training.evaluation import Evaluation
    from spikemnist.training.feed import Feed
    from spikemnist.training.losses import Loss
    from spikemnist.training.monitor import EpochMonitor
    from spikemnist.training.processes import Processes


@dataclass
class Run:
    """Classifier, optimiser and history of a run.

    ``description`` holds the settings of the run as plain values, for its checkpoint. ``model``
    runs the network, in several processes through torch's `DistributedDataParallel`.
    """

    classifier: Classifier
    model: nn.Module
    feed: Feed
    validation: Feed | None
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    loss: Loss
    augment: Augmentation | None
    description: dict[str, Any]
    history: History = field(default_factory=History)
    best: Weights | None = None
    average: MovingAverage | None = None
    processes: Processes = field(default_factory=processes.current)

    @property
    def network(self) -> nn.Module:
        """The network, whose weights are trained."""
        return self.classifier.network

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""
        return len(self.history) >= self.config.epochs or self.history.stopped_early

    def bar(self, *, progress: bool) -> tqdm[Any]:
        """Return a progress bar over the batches of all epochs, silent unless on a terminal."""
        batches = self.feed.num_batches
        return progress_bar(
            progress=progress and self.processes.is_first,
            total=None if batches is None else batches * self.config.epochs,
            initial=0 if batches is None else batches * len(self.history),
            unit="batch",
            dynamic_ncols=True,
        )

    @property
    def lr(self) -> float:
        """The learning rate of the last batch."""
        lr: float = self.optimizer.param_groups[0]["lr"]
        return lr

    def close_epoch(
        self, monitor: EpochMonitor, seconds: float, interruption: Interruption
    ) -> list[str]:
        """Validate, add a row to the history, and return what the user is to be warned of."""
        history, epoch = self.history, len(self.history) + 1
        monitor.add_up(self.processes, self.feed.device)
        # Each process has normalised its own samples: the statistics of the first count.
        self.processes.give(self.network.buffers())
        self.processes.give(() if self.average is None else self.average.weights.values())
        if not monitor.samples:
            raise ValueError(
                f"the training data gave no batch in epoch {epoch}: pass a dataset, tensors, or an "
                "iterable that can be read once per epoch, such as a DataLoader"
            )
        check_weights(self.network, epoch=epoch, lr=self.lr)
        warnings = monitor.warnings(self.network)
        evaluation = self.processes.first(lambda: self._validate(epoch, interruption))
        previous = history.column("validation_loss")
        history.seconds.append(seconds)
        history.epochs.append(
            EpochMetrics(
                epoch=epoch,
                loss=monitor.loss,
                accuracy=monitor.accuracy,
                validation_loss=evaluation.loss if evaluation else None,
                validation_accuracy=evaluation.accuracy if evaluation else None,
                lr=self.lr,
                spikes_per_sample=monitor.spikes_per_sample,
            )
        )
        if evaluation is None:
            return warnings
        if evaluation.loss < min(previous, default=float("inf")):
            history.best_epoch = epoch
            with self.averaged():
                self.best = copy.deepcopy(self.network.state_dict())
        elif (
            self.config.patience is not None
            and epoch - (history.best_epoch or 0) >= self.config.patience
        ):
            history.stopped_early = True
        if self.finished and overfits(monitor.accuracy, evaluation.accuracy, evaluation.samples):
            warnings.append(
                f"training accuracy {monitor.accuracy:.1%}, validation accuracy "
                f"{evaluation.accuracy:.1%}: the network overfits. Remedies: augment=, dropout, "
                "weight_decay=, fewer epochs or more images"
            )
        return warnings

    def _validate(self, epoch: int, interruption: Interruption) -> Evaluation | None:
        if self.validation is None:
            return None
        with self.averaged():
            evaluation = evaluate_feed(
                self.classifier,
                self.validation,
                seed=derive_seed(self.config.seed, epoch, 2),
                loss=self.loss,
                interruption=interruption,
            )
        check_finite(
            evaluation.loss,
            "validation loss",
            model=self.network,
            lr=self.lr,
            place=f"after epoch {epoch}",
        )
        return evaluation

    def averaged(self) -> AbstractContextManager[None]:
        """Load the average of the weights into the model within the context, if there is one."""
        return nullcontext() if self.average is None else self.average.applied(self.network)

    def keep_weights(self) -> None:
        """Load the weights of the best epoch into the model.

        Without validation, load the average of the weights, if there is one.
        """
        if self.best is not None:
            self.network.load_state_dict(self.best)
        elif self.average is not None:
            self.network.load_state_dict(self.average.weights)

    def save(self, path: Path) -> None:
        """Have the first process write a checkpoint."""
        checkpoint = Checkpoint(
            settings=self.description,
            model=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            history=self.history,
            best=self.best,
            average=None if self.average is None else self.average.weights,
            averaged_steps=0 if self.average is None else self.average.steps,
        )
        self.processes.first(lambda: save_checkpoint(checkpoint, path))

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Continue from a checkpoint of a run with the same settings."""
        check_settings(checkpoint.settings, self.description, path)
        restore(checkpoint, self.network, self.optimizer, path)
        self.history = checkpoint.history
        self.history.device = str(self.feed.device)
        self.best = checkpoint.best
        if self.average is not None and checkpoint.average is not None:
            self.average.weights = checkpoint.average
            self.average.steps = checkpoint.averaged_steps

"""The state of a training run, its checkpoints, and the end of an epoch."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spikemnist._progress import progress_bar
from spikemnist._run_folder import CHECKPOINT
from spikemnist._seeds import derive_seed
from spikemnist.training import processes
from spikemnist.training.average import loaded
from spikemnist.training.checkpoint import REMEDY, Checkpoint, restore, save_checkpoint
from spikemnist.training.evaluation import evaluate_feed
from spikemnist.training.history import EpochMetrics, History
from spikemnist.training.monitor import check_finite, check_weights, of_validation

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import torch
    from torch import nn
    from tqdm import tqdm

    from spikemnist._evaluation import Evaluation
    from spikemnist._interrupt import Interruption
    from spikemnist.data import Augmentation
    from spikemnist.models import Classifier
    from spikemnist.training.average import MovingAverage
    from spikemnist.training.checkpoint import Weights
    from spikemnist.training.config import TrainConfig
    from spikemnist.training.feed import Feed
    from spikemnist.training.losses import Loss
    from spikemnist.training.monitor import EpochMonitor
    from spikemnist.training.processes import Processes


BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"
"""A bar that fits 80 columns."""


@dataclass
class Run:
    """Classifier, optimiser and history of a run.

    ``model`` runs the network, in several processes through torch's `DistributedDataParallel`.
    """

    classifier: Classifier
    model: nn.Module
    feed: Feed
    validation: Feed | None
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    loss: Loss
    augment: Augmentation | None
    history: History = field(default_factory=History)
    best: Weights | None = None
    average: MovingAverage | None = None
    processes: Processes = field(default_factory=processes.current)
    folder: Path | None = None

    @property
    def network(self) -> nn.Module:
        """The network, whose weights are trained."""
        return self.classifier.network

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""
        return len(self.history) >= self.config.epochs or self.history.stopped_early

    def bar(self, *, progress: bool) -> AbstractContextManager[tqdm[Any]]:
        """Return a progress bar over the batches of an epoch, silent unless on a terminal."""
        return progress_bar(
            progress=progress and self.processes.is_first,
            total=self.feed.num_batches,
            bar_format=BAR,
            desc=f"epoch {min(len(self.history) + 1, self.config.epochs)}/{self.config.epochs}",
            dynamic_ncols=True,
            leave=False,
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
        texts = [*monitor.findings()]
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
            return texts
        if evaluation.loss < min(previous, default=float("inf")):
            history.best_epoch = epoch
            with self.averaged():
                self.best = copy.deepcopy(self.network.state_dict())
        elif (
            self.config.patience is not None
            and epoch - (history.best_epoch or 0) >= self.config.patience
        ):
            history.stopped_early = True
        if self.finished:
            shares = monitor.accuracy, evaluation.accuracy
            texts += of_validation(*shares, evaluation.samples, monitor.classes)
        return texts

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

    def line(self) -> str:
        """Return the metrics of the last epoch in a line."""
        row, seconds = self.history.epochs[-1], self.history.seconds[-1]
        width, validation = len(str(self.config.epochs)), row.validation_accuracy
        return (
            f"epoch {row.epoch:{width}}/{self.config.epochs}  loss {row.loss:.4f}  "
            f"accuracy {row.accuracy:7.2%}  "
            f"{'' if validation is None else f'validation {validation:7.2%}  '}"
            f"spikes {row.spikes_per_sample:,.0f}  {seconds:.1f} s"
        )

    def averaged(self) -> AbstractContextManager[None]:
        """Load the average of the weights into the model within the context, if there is one."""
        return nullcontext() if self.average is None else loaded(self.network, self.average.weights)

    def keep_weights(self) -> None:
        """Load the weights of the best epoch into the model.

        Without validation, load the average of the weights, if there is one.
        """
        if self.best is not None:
            self.network.load_state_dict(self.best)
        elif self.average is not None:
            self.network.load_state_dict(self.average.weights)

    def start(self, earlier: Checkpoint | None) -> None:
        """Continue from a checkpoint; without one, write the state before the first epoch."""
        if earlier is None:
            self.save()  # or a run killed in its first epoch could not be resumed
        else:
            self._restore(earlier)

    def save(self) -> None:
        """Have the first process write a checkpoint, if the run has a folder."""
        if self.folder is None:
            return
        path = self.folder / CHECKPOINT
        checkpoint = Checkpoint(
            model=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            history=self.history,
            best=self.best,
            average=None if self.average is None else self.average.weights,
            averaged_steps=0 if self.average is None else self.average.steps,
        )
        self.processes.first(lambda: save_checkpoint(checkpoint, path))

    def _restore(self, checkpoint: Checkpoint) -> None:
        assert self.folder is not None
        if (self.average is None) != (checkpoint.average is None):
            raise ValueError(
                f"{self.folder / CHECKPOINT} does not fit the run: only one of them has an average "
                f"of the weights (ema=). {REMEDY}"
            )
        restore(checkpoint, self.network, self.optimizer, self.folder / CHECKPOINT)
        self.history = checkpoint.history
        self.history.device = str(self.feed.device)
        self.best = checkpoint.best
        if self.average is not None:
            assert checkpoint.average is not None
            self.average.weights = checkpoint.average
            self.average.steps = checkpoint.averaged_steps

"""The state of a training run, and the training of one epoch."""

from __future__ import annotations

import copy
import functools
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._checkpoints import check_settings
from spikemnist._progress import progress_bar
from spikemnist._seeds import derive_seed, seeded
from spikemnist.training import processes
from spikemnist.training.checkpoint import Checkpoint, restore, save_checkpoint
from spikemnist.training.evaluation import evaluate_feed
from spikemnist.training.history import EpochMetrics, History
from spikemnist.training.monitor import (
    EpochMonitor,
    batch_counts,
    check_finite,
    check_weights,
    overfits,
)
from spikemnist.training.schedules import get_schedule
from spikemnist.training.steps import backpropagate, backpropagate_truncated, gradient_norm

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import Tensor, nn
    from tqdm import tqdm

    from spikemnist._interrupt import Interruption
    from spikemnist.models import Classifier
    from spikemnist.training.average import MovingAverage
    from spikemnist.training.checkpoint import Weights
    from spikemnist.training.feed import Feed
    from spikemnist.training.processes import Processes
    from spikemnist.training.settings import Settings


@dataclass
class Run:
    """Classifier, optimiser and history of a run.

    ``description`` holds the settings of the run as plain values, for its checkpoint.
    """

    classifier: Classifier
    feed: Feed
    validation: Feed | None
    optimizer: torch.optim.Optimizer
    settings: Settings
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
        return len(self.history) >= self.settings.epochs or self.history.stopped_early

    def bar(self, *, progress: bool) -> tqdm[Any]:
        """Return a progress bar over the batches of all epochs, silent unless on a terminal."""
        batches = self.feed.num_batches
        return progress_bar(
            progress=progress and self.processes.is_first,
            total=None if batches is None else batches * self.settings.epochs,
            initial=0 if batches is None else batches * len(self.history),
            unit="batch",
            dynamic_ncols=True,
        )

    def train_epoch(self, bar: tqdm[Any], interruption: Interruption) -> list[str]:
        """Train for one epoch, validate, and add a row to the history.

        Returns
        -------
        list of str
            What the user is to be warned of.
        """
        epoch = len(self.history) + 1
        start = time.perf_counter()
        monitor = EpochMonitor()
        self.network.train()
        with seeded(derive_seed(self.settings.seed, epoch), self.feed.device) as generator:
            augment_generator = torch.Generator()
            augment_generator.manual_seed(derive_seed(self.settings.seed, epoch, 3))
            batches = self.feed.batches(seed=derive_seed(self.settings.seed, epoch, 1))
            for images, labels in self.processes.between(batches, interruption):
                self._set_lr(epoch, monitor.batches)
                if self.settings.augment is not None:
                    images = self.settings.augment(images, generator=augment_generator)
                # No variable holds the spikes: it would keep them while the next batch is encoded.
                self._step(
                    self.classifier.encode(images, generator=generator), labels, epoch, monitor
                )
                bar.set_description(f"epoch {epoch}/{self.settings.epochs}", refresh=False)
                bar.set_postfix_str(
                    f"loss {monitor.loss:.4f}, accuracy {monitor.accuracy:.4f}", refresh=False
                )
                bar.update()
        if not monitor.samples:
            raise ValueError(
                f"the training data gave no batch in epoch {epoch}: pass a dataset, tensors, or an "
                "iterable that can be read once per epoch, such as a DataLoader"
            )
        check_weights(self.network, epoch=epoch, lr=self._lr)
        warnings = monitor.warnings(self.network)
        seconds = time.perf_counter() - start
        warnings += self._close_epoch(epoch, monitor, seconds, interruption)
        return warnings if self.processes.is_first else []

    @property
    def _lr(self) -> float:
        """The learning rate of the last batch."""
        lr: float = self.optimizer.param_groups[0]["lr"]
        return lr

    def _set_lr(self, epoch: int, batch: int) -> None:
        within = batch / self.feed.num_batches if self.feed.num_batches else 0.0
        progress = (epoch - 1 + within) / self.settings.epochs
        # A schedule may return a NumPy number or a tensor, but a checkpoint holds plain numbers.
        factor = float(get_schedule(self.settings.schedule)(progress))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * factor

    def _step(self, spikes: Tensor, labels: Tensor, epoch: int, monitor: EpochMonitor) -> None:
        place = f"in epoch {epoch}, batch {monitor.batches + 1}"
        check = functools.partial(
            check_finite, model=self.network, spikes=spikes, place=place, lr=self._lr
        )
        samples, truncate = len(labels), self.settings.truncate
        mine = self.processes.share(spikes, labels)
        self.optimizer.zero_grad(set_to_none=True)
        learn = backpropagate
        if truncate is not None:
            learn = functools.partial(backpropagate_truncated, truncate=truncate)
        path = (self.settings.seed, epoch, 4, monitor.batches)
        with self.processes.own_masks(spikes.device, *path):
            record, value = learn(
                self.network,
                mine.spikes,
                mine.labels,
                self.settings.loss,
                share=mine.of_mean,
            )
        self.processes.add_gradients(self.network)
        exact = torch.promote_types(value.dtype, torch.float32)
        mean = self.processes.add(value.to(exact) * mine.of_mean)
        counts = self.processes.add(batch_counts(record, mine.labels) * mine.of_sum)
        norm = gradient_norm(self.network, clip=self.settings.clip_norm)
        # Read together, because a read waits for the GPU; the counts are ready by then.
        number, length = torch.stack([mean.view(()), norm.to(exact)]).tolist()
        correct, *spike_counts = counts.tolist()
        check(number, "loss")
        # The loss may hide NaN: a membrane of NaN never fires, so after a hidden layer NaN shows
        # in the gradient only, which must not reach the weights.
        check(length, "gradient")
        self.optimizer.step()
        # Each process has normalised its own samples: the statistics of the first count.
        self.processes.give(self.network.buffers())
        if self.average is not None:
            self.average.update(self.network)
        monitor.add(record, samples, number, correct, spike_counts)

    def _close_epoch(
        self, epoch: int, monitor: EpochMonitor, seconds: float, interruption: Interruption
    ) -> list[str]:
        """Validate, add a row to the history, and return warnings."""
        history = self.history
        evaluation = None
        if self.validation is not None:
            with self.averaged():
                evaluation = evaluate_feed(
                    self.classifier,
                    self.validation,
                    seed=derive_seed(self.settings.seed, epoch, 2),
                    loss=self.settings.loss,
                    interruption=interruption,
                    processes=self.processes,
                )
            check_finite(
                evaluation.loss,
                "validation loss",
                model=self.network,
                lr=self._lr,
                place=f"after epoch {epoch}",
            )
        previous = history.column("validation_loss")
        history.seconds.append(seconds)
        history.epochs.append(
            EpochMetrics(
                epoch=epoch,
                loss=monitor.loss,
                accuracy=monitor.accuracy,
                validation_loss=evaluation.loss if evaluation else None,
                validation_accuracy=evaluation.accuracy if evaluation else None,
                lr=self._lr,
                spikes_per_sample=monitor.spikes_per_sample,
            )
        )
        if evaluation is None:
            return []
        if evaluation.loss < min(previous, default=float("inf")):
            history.best_epoch = epoch
            with self.averaged():
                self.best = copy.deepcopy(self.network.state_dict())
        elif (
            self.settings.patience is not None
            and epoch - (history.best_epoch or 0) >= self.settings.patience
        ):
            history.stopped_early = True
        if self.finished and overfits(monitor.accuracy, evaluation.accuracy, evaluation.samples):
            return [
                f"training accuracy {monitor.accuracy:.1%}, validation accuracy "
                f"{evaluation.accuracy:.1%}: the network overfits. Remedies: augment=, dropout, "
                "weight_decay=, fewer epochs or more images"
            ]
        return []

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

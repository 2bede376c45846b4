"""The training loop: epochs of steps, each of encode, forward, loss, backward, clip, step, metrics.

Shapes: ``T`` timesteps, ``B`` samples of a batch.
"""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from spikemnist._arguments import named, plain_number
from spikemnist._doors import import_object, is_installed
from spikemnist._interrupt import between, interrupted, interruptible
from spikemnist._progress import print_note, progress_bar, write_line
from spikemnist._run_folder import (
    CHECKPOINT,
    METRICS,
    MODEL,
    RunFolder,
    find_folder,
    open_folder,
)
from spikemnist._seeds import derive_seed, seeded
from spikemnist.data.feed import as_dataset
from spikemnist.training.backpropagation import (
    backpropagate,
    backpropagate_truncated,
    gradient_norm,
)
from spikemnist.training.callbacks import Callback, csv_logger
from spikemnist.training.checkpoint import restore, save_checkpoint
from spikemnist.training.config import TrainConfig
from spikemnist.training.evaluation import evaluate_feed
from spikemnist.training.losses import is_cross_entropy
from spikemnist.training.metrics import (
    EpochMetrics,
    History,
    RunningMetrics,
    TrainingWarning,
    batch_counts,
    check_finite,
    check_weights,
    epoch_line,
    validation_findings,
)
from spikemnist.training.state import Training, check_request, describe_run, new_training
from spikemnist.training.team import OneProcess, find_team
from spikemnist.training.waiting import seconds_waited, waiting_findings

if TYPE_CHECKING:
    from tqdm import tqdm

    from spikemnist._evaluation import Evaluation
    from spikemnist.data.feed import Data
    from spikemnist.models import Classifier

BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"
"""A bar that fits 80 columns."""

KEPT_MEMORY = "spikemnist.engine.kept_memory.kept_memory"
"""Door to what keeps freed memory in the process, for the tensors of the next step."""


@named({setting.name: f"TrainConfig({setting.name}=...)" for setting in fields(TrainConfig)})
def fit(
    classifier: Classifier,
    train: Data,
    config: TrainConfig | None = None,
    *,
    validation: Data | float | None = None,
    run: str | os.PathLike[str] | None = None,
    resume: bool | Literal["auto"] = False,
    callbacks: Sequence[Callback] = (),
    device: str | torch.device = "auto",
    progress: bool = True,
) -> History:
    r"""Train a classifier by backpropagation through time with surrogate gradients.

    The same classifier, data, settings and seed give the same weights on the same machine with the
    same number of threads. The engine gives the same bits for any number of threads; the
    convolutions, dense layers and batch normalisations that torch computes need not. A run that was
    killed and resumed gives the same weights as an uninterrupted one.

    In a process group of `torch.distributed`, call it in each process with the same arguments. Each
    process runs its share of every batch; the first one validates, and writes the files.

    Parameters
    ----------
    classifier : Classifier
        Network and encoder. The network is trained in place and stays on the device.
    train : ImageDataset, EventDataset, tuple of torch.Tensor, or iterable of such tuples
        A dataset of `spikemnist.data`, a pair of tensors (images, labels), or any iterable of such
        batches that can be read once per epoch, such as a DataLoader.
    config : TrainConfig, default TrainConfig()
        Settings of the run, such as epochs and learning rate.
    validation : ImageDataset, EventDataset, tuple, iterable or float, default None
        Data that select the best epoch, or the share of ``train`` to hold out for this purpose. The
        network then ends with the weights of the epoch with the lowest validation loss. Never pass
        the test set.
    run : str or os.PathLike, default None
        Folder of the run, which must not hold one yet. It gets ``config.json``, the `Recipe` with a
        digest of the data; after each epoch ``metrics.csv`` and ``checkpoint.pt``, the
        whole state of the run; and at the end ``model.safetensors``, which `spikemnist.load` reads.
    resume : bool or "auto", default False
        Whether to continue the run in ``run`` instead of training from the present weights;
        ``"auto"`` begins a run where there is none. Classifier, data and settings must be the same.
        With the schedule ``"constant"``, a run can be continued for more epochs than before.
    callbacks : sequence of callable, default ()
        Functions called as ``callback(history, classifier)`` after each epoch. One that returns
        True ends the run. A resumed run calls them once more for its last finished epoch, as it may
        have been killed before they ran.
    device : str or torch.device, default "auto"
        Device to train on: see `select_device`.
    progress : bool, default True
        Whether to write a line for each epoch on standard error, and to show a bar if that is a
        terminal.

    Returns
    -------
    History
        Ctrl-C ends the run after the current batch and sets ``history.interrupted``. The checkpoint
        holds the last finished epoch. A second Ctrl-C ends the batch as well.

    Raises
    ------
    TypeError, ValueError
        If classifier, data or settings cannot be used, if the loss has no gradient, if classifier,
        ``train`` and ``validation`` have classes of other names, if a run is resumed with other
        ones, or if one of its files is damaged.
    FileExistsError
        If ``run`` holds a run and ``resume`` is False, or if another process trains in it.
    FileNotFoundError
        If ``resume`` is True and ``run`` holds no run, or if the folder was renamed, replaced or
        deleted meanwhile: the run ends at its next checkpoint.
    FloatingPointError
        If the loss, the gradient or a weight becomes NaN or infinite. The last checkpoint stays;
        a run that fails in its first epoch leaves no files.

    Warns
    -----
    TrainingWarning
        If a layer did not fire in a whole epoch, or fired at nearly every timestep: `diagnose` says
        why; if most images are dark; if a layer cannot fire at ``initial_rate``; if the loss has
        parameters, which are not trained; if threads waited for processors that other programs use,
        which Linux counts; at the end, if a cross-entropy is not below that of guessing, or with
        another loss the accuracy is that of guessing, both after 30 batches or more, if the loss
        has risen far above its first value, or if the validation accuracy is far below the training
        accuracy.
    UserWarning
        If a run is resumed with another number of threads.

    Notes
    -----
    E. Neftci, H. Mostafa, F. Zenke, *Surrogate gradient learning in spiking neural networks*, IEEE
    Signal Processing Magazine, 2019.

    Examples
    --------
    >>> from spikemnist import Classifier, LatencyEncoder, LeakyMLP, load_digits
    >>> train, test = load_digits()
    >>> classifier = Classifier(LeakyMLP(hidden=50), LatencyEncoder(num_steps=8))
    >>> history = fit(classifier, train[:2000], TrainConfig(epochs=2))
    >>> len(history), history.epochs[-1].accuracy > 0.7
    (2, True)
    """
    config = TrainConfig() if config is None else config
    train, validation = as_dataset(train), as_dataset(plain_number(validation))
    check_request(classifier, config, train, validation, callbacks)
    team = find_team()
    path, resume = team.by_first(find_folder, run, resume=resume)
    described = path is not None or team.size > 1  # a digest of the data takes its time
    description = describe_run(classifier, train, validation, config) if described else {}
    team.compare(description)
    training = new_training(classifier, train, validation, config, device)
    claim = open_folder(path, description, resume=resume)
    with interruptible(), _kept_memory(), team.enter(claim) as folder:
        _begin(training, team, folder, resume=resume, progress=progress)
        _run_epochs(training, callbacks, folder, progress=progress)
        if folder is not None and team.is_first and not training.history.interrupted:
            classifier.save(folder.file(MODEL))
            training.history.interrupted = interrupted()
    return training.history


def _kept_memory() -> AbstractContextManager[None]:
    """Return a context in which freed memory stays in the process, where the engine is there."""
    return import_object(KEPT_MEMORY)() if is_installed(KEPT_MEMORY) else nullcontext()


def _begin(
    training: Training,
    team: OneProcess,
    folder: RunFolder | None,
    *,
    resume: bool,
    progress: bool,
) -> None:
    """Go on from the checkpoint of a run, or start at the first epoch."""
    if folder is not None and resume:
        if team.by_first((folder.path / CHECKPOINT).exists):
            restore(training, folder.path)
            training.join(team)
            return
        print_note(
            f"no {CHECKPOINT} in {folder.path}: starting at the first epoch", progress=progress
        )
    training.start()
    training.join(team)
    # Or a run killed in its first epoch could not resume.
    team.by_first(save_checkpoint, training, folder)


def _run_epochs(
    training: Training, callbacks: Sequence[Callback], folder: RunFolder | None, *, progress: bool
) -> None:
    """Train until the last epoch, an early stop, or Ctrl-C; end with the best weights."""
    history, epochs, team = training.history, training.config.epochs, training.team
    if folder is not None and team.is_first:
        callbacks = [csv_logger(folder.path / METRICS), *callbacks]
    try:
        with progress_bar(
            progress=progress and team.is_first,
            total=training.feed.num_batches,
            bar_format=BAR,
            desc=f"epoch {min(len(history) + 1, epochs)}/{epochs}",
            dynamic_ncols=True,
            delay=0.0,
        ) as bar:
            # A resumed run may have been killed before its callbacks.
            stop = len(history) > 0 and _call(callbacks, training)
            while not (stop or training.finished):
                start, waited = time.perf_counter(), seconds_waited()
                metrics = train_epoch(training, bar)
                team.sum(training, metrics)
                seconds = time.perf_counter() - start
                _end_epoch(training, metrics, seconds, seconds_waited() - waited)
                write_line(bar, epoch_line(history, epochs), progress=progress and team.is_first)
                team.by_first(save_checkpoint, training, folder)
                stop = _call(callbacks, training)
            history.stopped_early |= stop
    except KeyboardInterrupt:
        history.interrupted = True
    training.load_best()
    history.interrupted |= interrupted()


def train_epoch(training: Training, bar: tqdm[Any]) -> RunningMetrics:
    """Train for one epoch; return its metrics."""
    epoch, seed, metrics = len(training.history) + 1, training.config.seed, RunningMetrics()
    training.network.train()
    bar.set_postfix_str("", refresh=False)
    bar.reset()
    bar.set_description_str(f"epoch {epoch}/{training.config.epochs}", refresh=False)
    changes = torch.Generator().manual_seed(derive_seed(seed, epoch, 3))
    with seeded(derive_seed(seed, epoch), training.feed.device) as generator:
        batches = training.feed.batches(seed=derive_seed(seed, epoch, 1))
        for images, labels in between(batches):
            training.set_lr(epoch, metrics.batches)
            if training.augment is not None:
                images = training.augment(images, generator=changes)
            # No variable holds the spikes: it would keep them while the next batch is encoded.
            encode, share = training.classifier.encode, training.team.share
            share(train_step, training, encode(images, generator=generator), labels, metrics)
            means = f"loss {metrics.mean('loss'):.4f}, accuracy {metrics.mean('correct'):.2%}"
            bar.set_postfix_str(means, refresh=False)
            bar.update()
    return metrics


def train_step(
    training: Training, spikes: Tensor, labels: Tensor, metrics: RunningMetrics
) -> tuple[float, float]:
    """Change the weights by the spikes ``[T, B, ...]`` and the labels ``[B]`` of a batch.

    Return the loss, and the norm of the gradient before clipping.
    """
    config, epoch, batch = training.config, len(training.history) + 1, metrics.batches + 1
    training.optimizer.zero_grad(set_to_none=True)
    if config.truncate is None:
        record, loss = backpropagate(training.model, spikes, labels, training.loss)
    else:
        record, loss = backpropagate_truncated(
            training.model, spikes, labels, training.loss, truncate=config.truncate
        )
    norm = gradient_norm(training.network, clip=config.clip_norm)

    # Read together, because a read waits for the GPU; the counts are ready by then.
    exact = torch.promote_types(loss.dtype, torch.float32)
    value, length = torch.stack([loss.to(exact).view(()), norm.to(exact)]).tolist()
    counts = batch_counts(record, labels).tolist()
    # The loss may hide NaN: a membrane of NaN never fires, so after a hidden layer NaN shows in the
    # gradient only, which must not reach the weights.
    check_finite(
        {"loss": value, "gradient": length},
        training.network,
        training.lr if epoch > 1 or batch > 1 else None,
        f"in epoch {epoch}, batch {batch}",
        spikes,
    )
    training.optimizer.step()
    training.first_loss = training.first_loss or value
    metrics.add(record, len(labels), value, counts)
    return value, length


def _end_epoch(training: Training, metrics: RunningMetrics, seconds: float, waited: float) -> None:
    """Validate, add a row to the history, and warn of what `diagnose` explains."""
    history, config, epoch = training.history, training.config, len(training.history) + 1
    if not metrics.batches:
        advice = (
            "pass a dataset, tensors, or an iterable that can be read once per epoch, such as a "
            "DataLoader"
        )
        if training.feed.least > 1:
            advice = "batch normalisation needs batches of two samples or more; raise batch_size"
        raise ValueError(f"the training data gave no batch in epoch {epoch}: {advice}")
    check_weights(training.network, epoch=epoch, lr=training.lr)
    evaluation = training.team.by_first(_validate, training, epoch)
    lowest = min(history.column("validation_loss"), default=float("inf"))
    history.seconds.append(seconds)
    row = EpochMetrics(
        epoch=epoch,
        loss=metrics.mean("loss"),
        accuracy=metrics.mean("correct"),
        validation_loss=evaluation.loss if evaluation else None,
        validation_accuracy=evaluation.accuracy if evaluation else None,
        lr=training.lr,
        spikes_per_sample=metrics.spikes_per_sample,
    )
    history.epochs.append(row)
    if evaluation is not None and evaluation.loss < lowest:
        history.best_epoch = epoch
        training.best = copy.deepcopy(training.network.state_dict())
    elif config.patience is not None and epoch - (history.best_epoch or 0) >= config.patience:
        history.stopped_early = True
    findings = [*metrics.findings()]
    if training.finished and not findings:
        entropy = is_cross_entropy(training.loss)
        findings += metrics.guess_findings(row, training.first_loss, entropy)
    findings += waiting_findings(seconds, waited, torch.get_num_threads())
    if evaluation is not None and training.finished:
        shares = row.accuracy, evaluation.accuracy
        findings += validation_findings(*shares, evaluation.samples, metrics.classes)
    for finding in findings if training.team.is_first else ():
        warnings.warn(finding, TrainingWarning, stacklevel=5)  # the caller of `fit`


def _validate(training: Training, epoch: int) -> Evaluation | None:
    """Evaluate on the validation data, if there are any."""
    if training.validation is None:
        return None
    evaluation = evaluate_feed(
        training.classifier,
        training.validation,
        seed=derive_seed(training.config.seed, epoch, 2),
        loss=training.loss,
    )
    value = {"validation loss": evaluation.loss}
    check_finite(value, training.network, training.lr, f"after epoch {epoch}")
    return evaluation


def _call(callbacks: Sequence[Callback], training: Training) -> bool:
    """Call each callback; return whether one of the first process ends the run."""
    try:
        results = [callback(training.history, training.classifier) for callback in callbacks]
    except StopIteration as error:
        raise RuntimeError(
            "a callback ends the run by `return True`, not by StopIteration"
        ) from error
    # Not 1, as some functions that write return a number.
    stops = (plain_number(result) is True for result in results)
    return training.team.by_first(any, stops)

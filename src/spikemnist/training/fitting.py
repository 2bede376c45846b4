"""The training loop."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import torch

from spikemnist._checkpoints import checkpoint_file
from spikemnist._interrupt import interruptible
from spikemnist.data import EventDataset
from spikemnist.models.classifier import check_classifier
from spikemnist.training import processes
from spikemnist.training.average import MovingAverage
from spikemnist.training.checkpoint import load_checkpoint
from spikemnist.training.devices import (
    faster_on_a_mac,
    parameter_dtype,
    select_device,
)
from spikemnist.training.feed import Dataset, as_dataset, make_feed
from spikemnist.training.history import History
from spikemnist.training.losses import cross_entropy
from spikemnist.training.optimizers import make_optimizer
from spikemnist.training.run import Run
from spikemnist.training.settings import Settings, describe_run

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from spikemnist._interrupt import Interruption
    from spikemnist.data import Augmentation
    from spikemnist.models import Classifier
    from spikemnist.training.callbacks import Callback
    from spikemnist.training.checkpoint import Checkpoint
    from spikemnist.training.feed import Data
    from spikemnist.training.losses import Loss
    from spikemnist.training.optimizers import OptimizerFactory
    from spikemnist.training.schedules import Schedule


def fit(
    classifier: Classifier,
    train: Data,
    *,
    validation: Data | float | None = None,
    epochs: int = 5,
    batch_size: int = 128,
    lr: float = 1e-3,
    optimizer: str | OptimizerFactory = "adam",
    schedule: str | Schedule = "constant",
    loss: Loss = cross_entropy,
    clip_norm: float | None = None,
    truncate: int | None = None,
    patience: int | None = None,
    augment: Augmentation | None = None,
    weight_decay: float | None = None,
    ema: float | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
) -> History:
    r"""Train a classifier by backpropagation through time with surrogate gradients.

    The same classifier, data, settings and seed give the same weights on the same machine with the
    same number of threads. The engine's kernels give the same bits for any number of threads; the
    convolutions, matrix products and batch normalisations that torch computes need not. A run that
    was killed and resumed gives the same weights as an uninterrupted one.

    In a process group of `torch.distributed`, call it in each process with the same arguments. Each
    process takes its share of every batch, and the first one writes the checkpoint.

    Parameters
    ----------
    classifier : Classifier
        Network and encoder. The network is trained in place and stays on the device.
    train : ImageDataset, EventDataset, tuple of torch.Tensor, or iterable of such tuples
        A dataset of `spikemnist.data`, a pair of tensors (images, labels), or any iterable of such
        batches that can be read once per epoch, such as a DataLoader.
    validation : ImageDataset, EventDataset, tuple, iterable or float, default None
        Data that select the best epoch, or the share of ``train`` to hold out for this purpose. The
        network then ends with the weights of the epoch with the lowest validation loss. Never pass
        the test set.
    epochs : int, default 5
        Number of passes over the training data.
    batch_size : int, default 128
        Number of samples per batch, for datasets and tensors. An iterable has its own batches.
    lr : float, default 1e-3
        Learning rate.
    optimizer : str or callable, default "adam"
        Optimiser: see `spikemnist.training.optimizers.make_optimizer`.
    schedule : str or callable, default "constant"
        Factor on the learning rate: ``"constant"``, ``"cosine"``, ``"one_cycle"``, or a function
        of the progress in [0, 1].
    loss : callable, default cross_entropy
        Function of record and labels that returns the mean loss of the batch, a scalar tensor. A
        loss of torch takes scores:
        ``lambda record, labels: F.cross_entropy(record.scores, labels)``. A loss of snnTorch is
        wrapped in `SnnTorchLoss`.
    clip_norm : float, default None
        Largest norm of the whole gradient. Longer gradients are scaled down to it.
    truncate : int, default None
        Number of timesteps after which the gradient through time is cut: see
        `spikemnist.training.steps.backpropagate_truncated`.
    patience : int, default None
        Number of epochs without a lower validation loss after which the run stops early.
    augment : spikemnist.data.Augmentation, default None
        Random change of the training images of each batch before they are encoded, such as
        `spikemnist.data.RandomAffine`. Validation images stay unchanged. The random numbers are
        drawn on the CPU, so the images are the same on every device, within rounding.
    weight_decay : float, default None
        Weight decay: see `spikemnist.training.optimizers.make_optimizer`.
    ema : float, default None
        Decay per step of an exponential moving average of the weights, in [0, 1): 0.999 averages
        about the last thousand steps. Validation and callbacks see the average, and the network
        ends with it.
    device : str or torch.device, default "auto"
        Device to train on: see `select_device`. On a Mac, ``"auto"`` times a few training steps on
        MPS and on the CPU, if ``train`` is a dataset or a pair of tensors; a line on standard error
        shows which it takes: MPS, unless the CPU is faster by a fifth. A resumed run stays on its
        device.
    seed : int, default 0
        Seed for shuffling, augmentation, encoding and dropout. It does not affect the initial
        weights, which were drawn when the network was built.
    callbacks : sequence of callable, default ()
        Functions called as ``callback(history, classifier)`` after each epoch. A resumed run calls
        them once more for its last finished epoch, as it may have been killed before they ran.
    checkpoint : str or os.PathLike, default None
        File to which the whole state of the run is written after each epoch.
    resume : bool, default False
        Whether to continue from ``checkpoint`` instead of the present weights.
    progress : bool, default True
        Whether to show a bar, if standard error is a terminal, and the line on the device.

    Returns
    -------
    History
        Ctrl-C ends the run after the current batch and sets ``history.interrupted``. The checkpoint
        holds the last finished epoch. A second Ctrl-C ends the batch as well.

    Raises
    ------
    TypeError, ValueError
        If classifier, data or settings cannot be used, if a run is resumed with other settings, or
        if its checkpoint is damaged.
    FileExistsError
        If ``checkpoint`` exists and ``resume`` is False: it holds an earlier run.
    FileNotFoundError
        If ``resume`` is True and there is no ``checkpoint``.
    FloatingPointError
        If the loss, the gradient or a weight becomes NaN or infinite. The last checkpoint stays.

    Warns
    -----
    UserWarning
        If a layer did not fire, or fired almost all the time, in a whole epoch.

    Notes
    -----
    E. Neftci, H. Mostafa, F. Zenke, *Surrogate gradient learning in spiking neural networks*, IEEE
    Signal Processing Magazine, 2019.

    Examples
    --------
    >>> from spikemnist import Classifier, LatencyEncoder, LeakyMLP, load_digits
    >>> train, test = load_digits()
    >>> classifier = Classifier(LeakyMLP(hidden=50), LatencyEncoder(num_steps=8))
    >>> history = fit(classifier, train[:2000], epochs=2, lr=0.01)
    >>> len(history), history.epochs[-1].accuracy > 0.7
    (2, True)
    """
    check_classifier(classifier, "fit")
    settings = Settings(
        epochs=epochs,
        batch_size=batch_size,
        lr=float(lr),  # a checkpoint holds no NumPy numbers
        optimizer=optimizer,
        schedule=schedule,
        loss=loss,
        clip_norm=clip_norm,
        truncate=truncate,
        patience=patience,
        augment=augment,
        weight_decay=weight_decay,
        ema=ema,
        seed=int(seed),
    )
    if patience is not None and validation is None:
        raise ValueError("patience needs validation data: pass validation=0.1, for example")
    together = processes.current()
    file = together.first(lambda: checkpoint_file(checkpoint, resume=resume))
    target = select_device(device, dtype=parameter_dtype(classifier))
    if augment is not None and isinstance(train, EventDataset):
        raise ValueError(
            "augment needs images, but train has recordings of an event camera; change them with "
            "train.transformed(), for example by spikemnist.data.DropEvents"
        )
    training_set, validation_set = _hold_out(train, validation, settings.seed)
    earlier = load_checkpoint(file) if file is not None and resume else None
    if device == "auto" and target.type == "mps":
        target = _on_a_mac(classifier, training_set, settings, earlier, progress=progress)
    description = describe_run(classifier, train, validation, settings) if file else {}
    classifier.to(target)
    network = classifier.network
    together.give((*network.parameters(), *network.buffers()))
    run = Run(
        classifier=classifier,
        feed=make_feed(training_set, batch_size, target, "train"),
        validation=None
        if validation_set is None
        else make_feed(validation_set, batch_size, target, "validation"),
        optimizer=make_optimizer(optimizer, network, settings.lr, weight_decay),
        settings=settings,
        description=description,
        average=None if ema is None else MovingAverage(ema, copy.deepcopy(network.state_dict())),
        processes=together,
        history=History(device=str(target)),
    )
    with interruptible() as interruption:
        if file is not None and earlier is not None:
            run.restore(earlier, file)
        elif file is not None:
            run.save(file)  # so that a run killed in its first epoch can be resumed
        _train(run, file, callbacks, interruption, progress=progress)
    run.history.interrupted = interruption.pressed
    return run.history


def _train(
    run: Run,
    file: Path | None,
    callbacks: Sequence[Callback],
    interruption: Interruption,
    *,
    progress: bool,
) -> None:
    try:
        with run.bar(progress=progress) as bar:
            if len(run.history):  # resumed: it may have been killed before its callbacks
                _call(callbacks, run)
            while not run.finished:
                for warning in run.train_epoch(bar, interruption):
                    warnings.warn(warning, stacklevel=3)  # the caller of `fit`
                if file is not None:
                    run.save(file)
                _call(callbacks, run)
    except KeyboardInterrupt:
        interruption.pressed = True
    except (TypeError, ValueError):
        if file is not None and not len(run.history):
            file.unlink(missing_ok=True)  # or it would block the corrected call
        raise
    run.keep_weights()


def _on_a_mac(
    classifier: Classifier,
    train: Data,
    settings: Settings,
    earlier: Checkpoint | None,
    *,
    progress: bool,
) -> torch.device:
    """Return the device of a resumed run, or the faster one."""
    if earlier is not None and earlier.history.device in ("cpu", "mps"):
        return torch.device(earlier.history.device)
    dataset = as_dataset(train)
    if not isinstance(dataset, Dataset) or not len(dataset):
        return torch.device("mps")
    batch: Any = next(dataset.batches(settings.batch_size))
    return faster_on_a_mac(classifier, batch, settings.loss, progress=progress)


def _call(callbacks: Sequence[Callback], run: Run) -> None:
    with run.averaged():
        for callback in callbacks:
            callback(run.history, run.classifier)


def _hold_out(train: Data, validation: Data | float | None, seed: int) -> tuple[Data, Data | None]:
    if not isinstance(validation, float):
        return train, validation
    dataset = as_dataset(train)
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"validation={validation} needs a dataset or a pair of tensors to split; train is an "
            "iterable, so pass the validation data themselves"
        )
    return dataset.split(validation, seed)

"""The training loop."""

from __future__ import annotations

import contextlib
import copy
import time
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np

from spikemnist._interrupt import interruptible
from spikemnist._progress import note, write_line
from spikemnist._run_folder import CHECKPOINT, METRICS, MODEL, find_folder, open_folder
from spikemnist._signatures import takes
from spikemnist.data import EventDataset
from spikemnist.data.augmentation import get_augmentation
from spikemnist.models.classifier import check_classifier
from spikemnist.training import processes
from spikemnist.training.average import MovingAverage
from spikemnist.training.callbacks import csv_logger
from spikemnist.training.checkpoint import load_checkpoint
from spikemnist.training.config import TrainConfig
from spikemnist.training.devices import parameter_dtype, select_device
from spikemnist.training.feed import (
    Dataset,
    as_dataset,
    describe_data,
    make_feed,
    sample_shape,
)
from spikemnist.training.history import History
from spikemnist.training.initialisation import start_from_data
from spikemnist.training.losses import make_loss
from spikemnist.training.memory import kept_memory
from spikemnist.training.monitor import TrainingWarning
from spikemnist.training.optimizers import make_optimizer
from spikemnist.training.recipe import Recipe
from spikemnist.training.run import Run
from spikemnist.training.schedules import get_schedule
from spikemnist.training.steps import train_epoch

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import torch

    from spikemnist._interrupt import Interruption
    from spikemnist.models import Classifier
    from spikemnist.training.callbacks import Callback
    from spikemnist.training.feed import Data


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
    same number of threads. The engine's kernels give the same bits for any number of threads; the
    convolutions, matrix products and batch normalisations that torch computes need not. A run that
    was killed and resumed gives the same weights as an uninterrupted one.

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
        If classifier, data or settings cannot be used, if a run is resumed with other ones, or if
        one of its files is damaged.
    FileExistsError
        If ``run`` holds a run and ``resume`` is False, or if another process trains in it.
    FileNotFoundError
        If ``resume`` is True and ``run`` holds no run.
    FloatingPointError
        If the loss, the gradient or a weight becomes NaN or infinite. The last checkpoint stays;
        a run that fails in its first epoch leaves no files.

    Warns
    -----
    TrainingWarning
        If a layer did not fire in a whole epoch, or fired at nearly every timestep: `diagnose` says
        why; if a layer cannot fire at ``initial_rate``; at the end, if the validation accuracy is
        far below the training accuracy.

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
    check_classifier(classifier, "fit")
    config = TrainConfig() if config is None else config
    _check(config, train, validation, callbacks)
    together = processes.current()
    folder, resume = together.first(lambda: find_folder(run, resume=resume))
    target = select_device(device, dtype=parameter_dtype(classifier))
    loss = make_loss(config.loss, config.label_smoothing, config.spike_penalty)
    training_set, validation_set = _hold_out(train, validation, config.seed)
    earlier = None
    if folder is not None and resume and (folder / CHECKPOINT).exists():
        earlier = load_checkpoint(folder / CHECKPOINT)
    description = {}
    if folder is not None or together.size > 1:
        recipe = Recipe.of(classifier, config, sample_shape(train))
        description = recipe.to_json() | {"data": describe_data(train, validation)}
        together.check_same(description)
    classifier.to(target)
    network = classifier.network
    feed = make_feed(training_set, config.batch_size, target, "train")
    if earlier is None:
        start_from_data(classifier, feed, config, target)
    state = Run(
        classifier=classifier,
        model=together.wrap(network),  # before the average: it starts from the weights of process 0
        feed=feed,
        validation=None
        if validation_set is None
        else make_feed(validation_set, config.batch_size, target, "validation"),
        optimizer=make_optimizer(config.optimizer, network, config.lr, config.weight_decay),
        config=config,
        loss=loss,
        augment=get_augmentation(config.augment),
        average=None
        if config.ema is None
        else MovingAverage(config.ema, copy.deepcopy(network.state_dict())),
        processes=together,
        history=History(device=str(target)),
        folder=folder,
    )
    stack = contextlib.ExitStack()
    with interruptible() as interruption, stack, processes.explained(), kept_memory():
        if folder is not None:
            opened = open_folder(folder, description, resume=resume)
            together.first(lambda: stack.enter_context(opened))
            if resume and earlier is None and together.is_first:
                note(f"no {CHECKPOINT} in {folder}: starting at the first epoch", progress=progress)
        state.start(earlier)
        _train(state, callbacks, interruption, progress=progress)
    state.history.interrupted = interruption.pressed
    state.model = network  # torch may hang if its wrapper outlives the process group
    if folder is not None and together.is_first and not interruption.pressed:
        classifier.save(folder / MODEL)
    return state.history


def _check(
    config: TrainConfig, train: Data, validation: Data | float | None, callbacks: object
) -> None:
    """Refuse settings that do not fit the data, and callbacks that would fail after an epoch."""
    if not isinstance(config, TrainConfig):
        raise TypeError(
            "the settings of fit are a TrainConfig, as in fit(classifier, train, "
            f"TrainConfig(epochs=5)); got {type(config).__name__}"
        )
    if not isinstance(callbacks, (list, tuple)) or not all(takes(one, 2) for one in callbacks):
        raise TypeError(
            "callbacks must be a list of functions of history and classifier, each called after "
            f"an epoch, such as [csv_logger('metrics.csv')]; got {callbacks!r}"
        )
    if config.patience is not None and validation is None:
        raise ValueError("patience needs validation data: pass validation=0.1, for example")
    get_schedule(config.schedule)
    if get_augmentation(config.augment) is not None and isinstance(train, EventDataset):
        raise ValueError(
            "augment needs images, but train has recordings of an event camera; change them with "
            "train.transformed(), for example by spikemnist.data.DropEvents"
        )


def _train(
    run: Run, callbacks: Sequence[Callback], interruption: Interruption, *, progress: bool
) -> None:
    if run.folder is not None and run.processes.is_first:
        callbacks = [csv_logger(run.folder / METRICS), *callbacks]
    try:
        with run.bar(progress=progress) as bar:
            # A resumed run may have been killed before its callbacks.
            stop = len(run.history) > 0 and _call(callbacks, run)
            while not (stop or run.finished):
                start = time.perf_counter()
                monitor = train_epoch(run, bar, interruption)
                seconds = time.perf_counter() - start
                for warning in run.close_epoch(monitor, seconds, interruption):
                    if run.processes.is_first:
                        warnings.warn(warning, TrainingWarning, stacklevel=3)  # the caller of `fit`
                if run.processes.is_first:
                    write_line(bar, run.line(), progress=progress)
                run.save()
                stop = _call(callbacks, run)
            run.history.stopped_early |= stop
    except KeyboardInterrupt:
        interruption.pressed = True
    run.keep_weights()


def _call(callbacks: Sequence[Callback], run: Run) -> bool:
    """Call each callback; return whether one of the first process ends the run."""
    with run.averaged():
        results = [callback(run.history, run.classifier) for callback in callbacks]
    stop = any(isinstance(result, bool | np.bool_) and bool(result) for result in results)
    return run.processes.first(lambda: stop)


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

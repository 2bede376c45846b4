"""The training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._checkpoints import new_or_resumed
from spikemnist._interrupt import interruptible
from spikemnist.data import EventDataset
from spikemnist.training import processes
from spikemnist.training.average import average_of
from spikemnist.training.checkpoint import load_checkpoint
from spikemnist.training.devices import parameter_dtype, select_device
from spikemnist.training.feed import Dataset, as_dataset, as_encoder, compact_for, make_feed
from spikemnist.training.losses import cross_entropy
from spikemnist.training.optimizers import make_optimizer
from spikemnist.training.run import Run
from spikemnist.training.settings import Settings, describe_run

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from torch import nn

    from spikemnist._interrupt import Interruption
    from spikemnist.data import Augmentation
    from spikemnist.encoding import Encoder
    from spikemnist.training.callbacks import Callback
    from spikemnist.training.feed import Data
    from spikemnist.training.history import History
    from spikemnist.training.losses import Loss
    from spikemnist.training.optimizers import OptimizerFactory
    from spikemnist.training.schedules import Schedule


def fit(
    model: nn.Module,
    train: Data,
    *,
    encoder: Encoder | str,
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
    r"""Train a network by backpropagation through time with surrogate gradients.

    The same model, data, settings and seed give the same weights on the same machine with the
    same number of threads. The engine's kernels give the same bits for any number of threads; the
    convolutions, matrix products and batch normalisations that torch computes need not. A run that
    was killed and resumed has the weights of one that was not.

    In a process group of `torch.distributed`, called in each of its processes with the same
    arguments, each process takes its share of every batch; the first one writes the checkpoint.

    Parameters
    ----------
    model
        A `spikemnist.models.LeakyMLP`, or any module that returns a `spikemnist.models.Record`.
        Trained in place; it stays on the device.
    train
        A dataset of `spikemnist.data`, a pair of tensors (images, labels), or any iterable of
        such batches that can be read once per epoch, a DataLoader for example.
    encoder
        Makes the spikes of each batch. A name stands for that encoder with 8 timesteps, as on the
        command line: ``"latency"`` is ``get_encoder("latency", num_steps=8)``.
    validation
        Data to select the best epoch by, or the share of ``train`` to hold out for that. The
        model then ends with the weights of the epoch with the lowest validation loss. Never pass
        the test set.
    epochs
        Passes over the training data.
    batch_size
        For datasets and tensors; an iterable has its own batches.
    lr, optimizer
        See `spikemnist.training.optimizers.make_optimizer`.
    schedule
        Factor on the learning rate: ``"constant"``, ``"cosine"``, ``"one_cycle"``, or a function
        of the progress in [0, 1].
    loss
        From record and labels to the mean loss of the batch, a scalar tensor. A loss of torch
        takes scores: ``lambda record, labels: F.cross_entropy(record.scores, labels)``. One of
        snnTorch goes into `SnnTorchLoss`.
    clip_norm
        Largest norm of the whole gradient; longer ones are scaled down to it.
    truncate
        Timesteps after which the gradient through time is cut: see
        `spikemnist.training.steps.backpropagate_truncated`.
    patience
        Epochs without a lower validation loss after which the run stops early.
    augment : spikemnist.data.Augmentation, default None
        Changes the training images of each batch at random, before they are encoded, such as
        `spikemnist.data.RandomAffine`. Validation images stay as they are. The random numbers are
        drawn on the CPU, so the images are the same on every device, within rounding.
    weight_decay : float, default None
        See `spikemnist.training.optimizers.make_optimizer`.
    ema : float, default None
        Decay per step of an exponential moving average of the weights, in [0, 1): 0.999 averages
        about the last thousand steps. Validation and callbacks see the average, and the model
        ends with it.
    device
        See `select_device`.
    seed
        Of the order of the samples, augmentation, the encoder and dropout; not of the model's first
        weights, which are there already.
    callbacks
        Called as ``callback(history, model)`` after each epoch, and once more for the last
        finished one when a run is resumed: the kill may have come before its callbacks.
    checkpoint
        File to which the whole state of the run is written after each epoch.
    resume
        Continue from ``checkpoint`` instead of from the model's present weights.
    progress
        Show a bar, if standard error is a terminal.

    Returns
    -------
    History
        Ctrl-C ends the run after the batch at hand, with ``history.interrupted`` set; the
        checkpoint holds the last finished epoch. A second Ctrl-C ends the batch as well.

    Raises
    ------
    TypeError, ValueError
        For data, encoder or settings that cannot be used, and for a resume with other settings.
    FloatingPointError
        When the loss or a weight becomes NaN or infinite; the last checkpoint stays.

    Warns
    -----
    UserWarning
        When a layer did not fire, or did nothing else, in a whole epoch.

    Notes
    -----
    E. Neftci, H. Mostafa, F. Zenke, *Surrogate gradient learning in spiking neural networks*, IEEE
    Signal Processing Magazine, 2019.

    Examples
    --------
    >>> from spikemnist.data import load_digits
    >>> from spikemnist.encoding import LatencyEncoder
    >>> from spikemnist.models import LeakyMLP
    >>> train, test = load_digits()
    >>> model = LeakyMLP(hidden=(50,))
    >>> history = fit(model, train[:2000], encoder=LatencyEncoder(num_steps=8), epochs=2, lr=0.01)
    >>> len(history), history.epochs[-1].accuracy > 0.7
    (2, True)
    """
    encoder = as_encoder(encoder)
    settings = Settings(
        epochs=epochs,
        batch_size=batch_size,
        lr=float(lr),  # a checkpoint holds plain numbers only, none of NumPy's
        optimizer=optimizer,
        schedule=schedule,
        loss=loss,
        clip_norm=clip_norm,
        truncate=truncate,
        patience=patience,
        augment=augment,
        weight_decay=weight_decay,
        ema=ema,
        seed=seed,
    )
    if patience is not None and validation is None:
        raise ValueError("patience needs validation data: pass validation=0.1, for example")
    together = processes.current()
    file = together.first(lambda: new_or_resumed(checkpoint, resume=resume))
    compact = compact_for(model, encoder, loss)
    target = select_device(device, dtype=parameter_dtype(model), model=model, encoder=compact)
    if augment is not None and isinstance(train, EventDataset):
        raise ValueError(
            "augment changes images, and train holds recordings of an event camera: give those a "
            "transform, such as spikemnist.data.DropEvents, with train.transformed()"
        )
    kept, held_out = _hold_out(train, validation, seed)
    description = describe_run(model, train, validation, encoder, settings) if file else {}
    model.to(target)
    together.give_weights(model)
    run = Run(
        model=model,
        feed=make_feed(kept, batch_size, target, "train"),
        validation=None
        if held_out is None
        else make_feed(held_out, batch_size, target, "validation"),
        encoder=compact,
        optimizer=make_optimizer(optimizer, model, settings.lr, weight_decay),
        settings=settings,
        description=description,
        average=None if ema is None else average_of(model, ema),
        processes=together,
    )
    with interruptible() as interruption:
        if file is not None and resume:
            run.restore(load_checkpoint(file), file)
        elif file is not None:
            run.save(file)  # so that a run killed in its first epoch can be resumed as well
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
            if len(run.history):  # resumed, and perhaps killed between checkpoint and callbacks
                _call(callbacks, run)
            while not run.finished:
                run.train_epoch(bar, interruption)
                if file is not None:
                    run.save(file)
                _call(callbacks, run)
    except KeyboardInterrupt:
        interruption.pressed = True
    except (TypeError, ValueError):
        if file is not None and not len(run.history):
            file.unlink(missing_ok=True)  # or it would stand in the way of the corrected call
        raise
    run.keep_weights()


def _call(callbacks: Sequence[Callback], run: Run) -> None:
    with run.averaged():
        for callback in callbacks:
            callback(run.history, run.model)


def _hold_out(train: Data, validation: Data | float | None, seed: int) -> tuple[Data, Data | None]:
    if not isinstance(validation, float):
        return train, validation
    dataset = as_dataset(train)
    if not isinstance(dataset, Dataset):
        raise ValueError(
            f"validation={validation} holds out a share of a dataset or a pair of tensors; an "
            "iterable cannot be split, so pass the validation data themselves"
        )
    return dataset.split(validation, seed)

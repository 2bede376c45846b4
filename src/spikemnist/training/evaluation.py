"""Evaluate a trained network: accuracy, confusion, spikes, accuracy after each timestep.

Shapes: ``T`` timesteps, ``C`` classes, ``L`` layers.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence, Sized

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from spikemnist._arguments import named
from spikemnist._evaluation import Evaluable, Evaluation
from spikemnist._interrupt import check_interrupt, interruptible
from spikemnist._names import LossName
from spikemnist._tensors import not_finite
from spikemnist.data.feed import Data, Feed, first_findings, make_feed
from spikemnist.models import Record
from spikemnist.models.classifier import Classifier, check_classifier, responses
from spikemnist.models.devices import parameter_dtype, select_device
from spikemnist.training.losses import Loss, compute_loss, make_loss, model_options

BatchMetrics = tuple[Tensor, int, str, dict[str, Tensor]]
"""Loss, number of samples, backend, and sums of a batch."""

ENOUGH = 32
"""Samples that show the number of classes: labels are all in the lower half once in 2**32."""


@named()
def evaluate(
    classifier: Classifier | Evaluable,
    data: Data | tuple[ArrayLike, ArrayLike],
    *,
    batch_size: int = 256,
    device: str | torch.device = "auto",
    seed: int = 0,
    loss: LossName | Loss = "cross_entropy",
    progress: bool = True,
) -> Evaluation:
    """Evaluate a classifier on labelled data.

    The options are for a `Classifier`. Any other classifier is evaluated by its own method
    ``evaluate``: those of `spikemnist.plasticity` run on the CPU, and their ``random_state`` draws
    the spikes.

    Parameters
    ----------
    classifier : Classifier, STDPClassifier or ConvSTDPClassifier
        Classifier that was trained.
    data : ImageDataset, EventDataset, tuple of torch.Tensor, or iterable of such tuples
        A dataset of `spikemnist.data`, a pair of tensors, images ``[N, ...]`` and labels ``[N]``,
        or an iterable of such batches.
    batch_size : int, default 256
        Number of samples per batch, for datasets and tensors.
    device : str or torch.device, default "auto"
        Device to compute on: see `select_device`. The classifier stays there.
    seed : int, default 0
        Seed for encoders that draw random numbers.
    loss : str or callable, default "cross_entropy"
        Loss to measure, as in `TrainConfig`.
    progress : bool, default True
        Whether to show a bar after two seconds, if standard error is a terminal.

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError
        If ``classifier`` or ``data`` is of the wrong kind.
    ValueError
        If there is no sample, or labels and classes do not fit, by their names where both have any.
    KeyboardInterrupt
        After the batch during which Ctrl-C was pressed.

    Warns
    -----
    UserWarning
        If a parameter holds NaN or infinity: the metrics are then meaningless. If the network has
        at least twice as many outputs as the data have classes, and the classifier has no names for
        them: a group of outputs for each class needs ``population``. If most images are dark.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> _, test = load_digits()
    >>> evaluation = evaluate(Classifier(LeakyMLP(hidden=20), "latency"), test[:100])
    >>> evaluation.confusion.sum(), len(evaluation.accuracy_per_step)
    (tensor(100), 8)
    """
    if not isinstance(classifier, Classifier) and isinstance(classifier, Evaluable):
        return classifier.evaluate(data)
    check_classifier(classifier, "evaluate")
    network = classifier.network
    if bad := not_finite(dict(network.named_parameters()) | dict(network.named_buffers())):
        warnings.warn(
            f"{bad} holds NaN or infinity, so these results are meaningless", stacklevel=3
        )
    target = select_device(device, dtype=parameter_dtype(classifier))
    classifier.to(target)
    feed = make_feed(data, batch_size, target, "data")  # type: ignore[arg-type]  # it refuses arrays
    for text in first_findings(feed.data):
        warnings.warn(text, stacklevel=3)
    with interruptible():
        evaluation = evaluate_feed(
            classifier,
            feed,
            seed=seed,
            loss=make_loss(loss),
            progress=progress,
        )
        check_interrupt()
    labels = evaluation.confusion.sum(1)
    counts = len(labels), feed.classes or int(labels.nonzero().max()) + 1, evaluation.samples
    for text in output_findings(classifier.classes, *counts) if labels.count_nonzero() > 1 else ():
        warnings.warn(text, stacklevel=3)
    return evaluation


def output_findings(named: Sized, outputs: int, classes: int, samples: int) -> Iterator[str]:
    """Yield a finding if a network has twice as many outputs as classes, without names."""
    if classes and outputs >= 2 * classes and samples >= ENOUGH and not named:
        groups = f"={outputs // classes}" if not outputs % classes else ""
        yield (
            f"the network has {outputs} outputs, the data have {classes} classes: if a group of "
            f"outputs stands for each class, pass population{groups} to the network; if not, use "
            "one for each class, or name all: Classifier(..., classes=names)"
        )


def evaluate_feed(
    classifier: Classifier,
    feed: Feed,
    *,
    seed: int,
    loss: Loss,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a classifier that is on the device of its data already: see `evaluate`."""
    start, options = time.perf_counter(), model_options(loss)
    with responses(classifier, feed, seed=seed, options=options, progress=progress) as batches:
        parts = [_measure(loss, *batch) for batch in batches]
    return _join(parts, classifier.classes, start)


def _measure(loss: Loss, spikes: Tensor, record: Record, labels: Tensor) -> BatchMetrics:
    """Return the loss and sums over a batch by name, without waiting for the device.

    The sums are the confusion matrix ``[C, C]``, correct predictions at each timestep ``[T]``, or
    none if the readout gives no scores there, silent samples, ties, inputs at the first timestep
    other than spikes, and the spikes of each layer.
    """
    value = compute_loss(loss, record, labels)  # also checks record and labels
    leaders = record.scores == record.scores.amax(-1, keepdim=True)
    first = spikes[0].float()
    classes = torch.arange(record.scores.shape[1], device=labels.device).unsqueeze(1)
    hits = (record.predictions == classes).float()
    running = record.running_predictions if record.has_running_scores else classes[:0]
    sums = {
        "confusion": torch.mm((labels == classes).float(), hits.transpose(0, 1)).long(),
        "correct": (running == labels).sum(1),
        "silent": (record.spikes == 0).all(0).all(-1).sum(),
        "tied": (leaders.sum(-1) > 1).sum(),
        "current": ((first != 0) & (first.abs() != 1)).sum(),
        "input": torch.count_nonzero(spikes),
        **dict(zip(record.sizes, record.spike_counts.sum(1), strict=True)),
    }
    return value, len(labels), record.backend, sums


def _join(batches: Sequence[BatchMetrics], names: tuple[str, ...], start: float) -> Evaluation:
    """Return the metrics of all batches together, on the CPU."""
    losses, sizes, backends, sums = zip(*batches, strict=True)
    samples = sum(sizes)
    totals = {name: torch.stack([batch[name] for batch in sums]).sum(0).cpu() for name in sums[0]}
    confusion, correct = totals.pop("confusion"), totals.pop("correct")
    means = {name: int(total) / samples for name, total in totals.items()}
    silent, tied, current = (means.pop(name) for name in ("silent", "tied", "current"))
    if current:
        del means["input"]
    return Evaluation(
        accuracy=int(confusion.trace()) / samples,
        loss=sum(float(loss) * size for loss, size in zip(losses, sizes, strict=True)) / samples,
        confusion=confusion,
        spikes_per_sample=means,
        silent=silent,
        tied=tied,
        accuracy_per_step=correct / samples,
        samples=samples,
        backend=backends[0],
        seconds=time.perf_counter() - start,
        classes=names,
    )

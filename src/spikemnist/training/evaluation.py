"""What a trained network is worth: accuracy, confusion, spikes, time to a decision.

Shapes: ``T`` timesteps, ``C`` classes, ``L`` layers.
"""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from spikemnist._interrupt import interruptible
from spikemnist._progress import progress_bar
from spikemnist._tensors import not_finite
from spikemnist.models.readout import running_predictions
from spikemnist.training.devices import parameter_dtype, select_device
from spikemnist.training.feed import as_encoder, compact_for, make_feed
from spikemnist.training.losses import compute_loss, cross_entropy, model_options
from spikemnist.training.processes import current
from spikemnist.training.seeds import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from spikemnist._interrupt import Interruption
    from spikemnist.encoding import Encoder
    from spikemnist.models import Record
    from spikemnist.training.feed import Data, Feed
    from spikemnist.training.losses import Loss
    from spikemnist.training.processes import Processes


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a model on a labelled set.

    Attributes
    ----------
    accuracy
        Share of samples whose predicted class is the label.
    loss
        Mean loss per sample.
    confusion
        ``[C, C]``, int64: row = label, column = prediction.
    spikes_per_sample
        Mean number of spikes for one sample, by layer: ``"input"``, ``"hidden 1"``, ...,
        ``"output"``. The input counts non-zero entries, so a direct code counts its lit pixels
        at every timestep.
    silent
        Share of samples for which no output neuron fired.
    tied
        Share of samples for which two classes or more shared the highest score.
    accuracy_per_step
        ``[T]``, the accuracy if the decision were taken after each timestep.
    samples
        How many samples were judged.
    backend
        Name of the backend that ran.
    seconds
        Wall-clock time, encoding included.

    Examples
    --------
    >>> from spikemnist import LatencyEncoder, LeakyMLP, evaluate, load_digits
    >>> model, encoder = LeakyMLP(hidden=(20,)), LatencyEncoder(num_steps=8)
    >>> found = evaluate(model, load_digits()[1][:50], encoder=encoder)
    >>> found.samples, found.confusion.sum(1).tolist(), list(found.spikes_per_sample)
    (50, [5, 5, 5, 5, 5, 5, 5, 5, 5, 5], ['input', 'hidden 1', 'output'])
    """

    accuracy: float
    loss: float
    confusion: Tensor
    spikes_per_sample: dict[str, float]
    silent: float
    tied: float
    accuracy_per_step: Tensor
    samples: int
    backend: str
    seconds: float


def evaluate(
    model: nn.Module,
    data: Data,
    *,
    encoder: Encoder | str,
    batch_size: int = 256,
    device: str | torch.device = "auto",
    seed: int = 0,
    loss: Loss = cross_entropy,
    progress: bool = True,
) -> Evaluation:
    """Measure a model on labelled data.

    In a process group of `torch.distributed`, called in each of its processes with the same
    arguments, the batches are shared out.

    Parameters
    ----------
    model
        A `spikemnist.models.LeakyMLP`, or any module that returns a `spikemnist.models.Record`.
    data
        A dataset of `spikemnist.data`, a pair of tensors (images, labels), or an iterable of such
        batches.
    encoder
        Makes the spikes; the one that the model was trained with. A name stands for the encoder
        that `fit` makes of it.
    batch_size
        For datasets and tensors.
    device
        See `select_device`; the model stays there.
    seed
        For encoders that draw random numbers.
    loss
        From record and labels to the mean loss of the batch.
    progress : bool, default True
        Show a bar after two seconds, if standard error is a terminal.

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError
        When ``data`` or ``encoder`` is of the wrong kind.
    ValueError
        When there is no sample, or labels and classes do not fit.
    KeyboardInterrupt
        After the batch during which Ctrl-C was pressed.

    Warns
    -----
    UserWarning
        When a parameter holds NaN or infinity: the figures then mean nothing.

    Examples
    --------
    >>> from spikemnist.data import load_digits
    >>> from spikemnist.encoding import LatencyEncoder
    >>> from spikemnist.models import LeakyMLP
    >>> _, test = load_digits()
    >>> figures = evaluate(LeakyMLP(hidden=(20,)), test[:100], encoder=LatencyEncoder(num_steps=8))
    >>> figures.confusion.sum(), len(figures.accuracy_per_step)
    (tensor(100), 8)
    """
    encoder = as_encoder(encoder)
    if batch_size < 1:
        raise ValueError(f"batch_size must be an integer >= 1; got {batch_size}")
    if bad := not_finite(dict(model.named_parameters()) | _constants(model)):
        warnings.warn(f"{bad} holds NaN or infinity: these figures mean nothing", stacklevel=2)
    target = select_device(device, dtype=parameter_dtype(model), model=model, encoder=encoder)
    model.to(target)
    feed = make_feed(data, batch_size, target, "data")
    with interruptible() as interruption:
        figures = evaluate_feed(
            model,
            feed,
            compact_for(model, encoder, loss),
            seed=seed,
            loss=loss,
            interruption=interruption,
            processes=current(),
            progress=progress,
        )
    interruption.check()
    return figures


def _constants(model: nn.Module) -> dict[str, Tensor]:
    """Return the decays and thresholds that are not learned."""
    buffers = model.named_buffers()
    return {name: x for name, x in buffers if name.split(".")[-1] in ("beta", "threshold")}


def evaluate_feed(
    model: nn.Module,
    feed: Feed,
    encoder: Encoder,
    *,
    seed: int,
    loss: Loss,
    interruption: Interruption,
    processes: Processes,
    progress: bool = False,
) -> Evaluation:
    """Measure a model on data that are on its device already: see `evaluate`.

    Each process measures every so-many-th batch, and makes the spikes of all of them, so that
    random numbers are those of one process.
    """
    started = time.perf_counter()
    tally = _Tally()
    with (
        evaluating(model, seed, feed.device) as generator,
        progress_bar(
            progress=progress and processes.is_first,
            total=feed.num_batches,
            desc="testing",
            unit="batch",
            delay=2.0,
            leave=False,
        ) as bar,
    ):
        batches = processes.between(feed.batches(), interruption)
        for index, (images, labels) in enumerate(batches):
            spikes = encoder(images, generator=generator)
            if index % processes.size == processes.rank:
                record = model(spikes, **model_options(loss))
                tally.add(spikes, record, labels, float(compute_loss(loss, record, labels)))
            bar.update()
    whole = _Tally()
    for part in processes.gather(tally):
        whole.merge(part)
    return whole.evaluation(time.perf_counter() - started)


@contextmanager
def evaluating(model: nn.Module, seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """Put a model into evaluation mode for a while, and give a generator on its device.

    Nothing is kept for a backward pass meanwhile.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(), seeded(seed, device) as generator:
            yield generator
    finally:
        for module, training in modes:
            module.training = training


class _Tally:
    """Sums over the batches of an evaluation."""

    def __init__(self) -> None:
        self.samples = 0
        self.loss = 0.0
        self.silent = 0
        self.tied = 0
        self.spikes: dict[str, int] = {}
        self.confusion: Tensor | None = None
        self.correct_per_step: Tensor | None = None
        self.backend = ""

    def add(self, spikes: Tensor, record: Record, labels: Tensor, loss: float) -> None:
        self.samples += len(labels)
        self.loss += loss * len(labels)
        self.backend = record.backend
        self.silent += int((record.spikes.sum(0) == 0).all(-1).sum())
        leaders = record.scores == record.scores.amax(-1, keepdim=True)
        self.tied += int((leaders.sum(-1) > 1).sum())
        fired = [int(torch.count_nonzero(spikes)), *record.spike_counts.sum(1).tolist()]
        for name, count in zip(("input", *record.sizes), fired, strict=True):
            self.spikes[name] = self.spikes.get(name, 0) + count
        classes = record.scores.shape[1]
        cells = torch.bincount(labels * classes + record.predictions, minlength=classes**2)
        correct = (running_predictions(record) == labels).sum(1).cpu()
        cells = cells.view(classes, classes).cpu()
        self.confusion = _plus(self.confusion, cells)
        self.correct_per_step = _plus(self.correct_per_step, correct)

    def merge(self, other: _Tally) -> None:
        """Add the sums of another tally."""
        if other.confusion is None or other.correct_per_step is None:
            return
        self.samples += other.samples
        self.loss += other.loss
        self.silent += other.silent
        self.tied += other.tied
        self.backend = other.backend
        for name, count in other.spikes.items():
            self.spikes[name] = self.spikes.get(name, 0) + count
        self.confusion = _plus(self.confusion, other.confusion)
        self.correct_per_step = _plus(self.correct_per_step, other.correct_per_step)

    def evaluation(self, seconds: float) -> Evaluation:
        if self.confusion is None or self.correct_per_step is None or not self.samples:
            raise ValueError("there is no sample to evaluate")
        return Evaluation(
            accuracy=int(self.confusion.trace()) / self.samples,
            loss=self.loss / self.samples,
            confusion=self.confusion,
            spikes_per_sample={name: n / self.samples for name, n in self.spikes.items()},
            silent=self.silent / self.samples,
            tied=self.tied / self.samples,
            accuracy_per_step=self.correct_per_step / self.samples,
            samples=self.samples,
            backend=self.backend,
            seconds=seconds,
        )


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    return part if total is None else total + part

"""The limits beyond which a decision is doubted: measured on labelled data, applied to a record.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` samples, ``L`` hidden layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from spikemnist._arguments import named
from spikemnist.data.feed import Data, make_feed
from spikemnist.models.classifier import Classifier, check_classifier, responses
from spikemnist.models.files import digest_of_weights
from spikemnist.models.limits import Limits
from spikemnist.models.record import Record

DOUBTED = 20
"""One of so many right answers is called not sure."""

OUTSIDE = 1000
"""One of so many samples lies below the limits of its hidden spikes, and one above."""


@named()
def measure_limits(
    classifier: Classifier,
    data: Data,
    *,
    batch_size: int = 256,
    seed: int = 0,
    progress: bool = True,
) -> Limits:
    """Measure the limits beyond which `decide` should doubt, on labelled data.

    At most 5 % of the right answers to these data have a margin below that of the limits, which is
    a multiple of 0.001. The range of the hidden spikes leaves out 0.1 % of the samples at either
    end: noise, and pictures of another kind, are often outside of it, wrong answers are not. Take
    some hundred samples or more, and none of the training: a network is too sure of those.

    Parameters
    ----------
    classifier : Classifier
        Network and encoder, as they are trained.
    data : ImageDataset, EventDataset, tuple of torch.Tensor, or iterable of such tuples
        Labelled data, as for `spikemnist.evaluate`.
    batch_size : int, default 256
        Number of samples per batch, for datasets and tensors.
    seed : int, default 0
        Seed for encoders that draw random numbers.
    progress : bool, default True
        Whether to show a bar after two seconds, if standard error is a terminal.

    Returns
    -------
    Limits
        For these weights alone. They are not in use before you assign them to the ``limits`` of the
        classifier. Without a right answer the margin is 1, the largest that a decision can have.

    Raises
    ------
    TypeError, ValueError
        If the data are of another kind or empty, or do not fit the encoder or the network.

    Examples
    --------
    >>> import spikemnist
    >>> _, test = spikemnist.load_digits()
    >>> classifier = spikemnist.load("mnist-mlp")
    >>> classifier.limits = measure_limits(classifier, test[:500])
    >>> spikemnist.decide(classifier, test.images[900]).doubts
    ()
    """
    check_classifier(classifier, "measure_limits")
    feed = make_feed(data, batch_size, classifier.device, "data")
    with responses(classifier, feed, seed=seed, options={}, progress=progress) as batches:
        limits = limits_of(batches)
    return replace(limits, weights=digest_of_weights(classifier.network))


def limits_of(batches: Iterable[tuple[Tensor, Record, Tensor]]) -> Limits:
    """Return the limits by spikes, record and labels of each batch."""
    right, parts = [torch.ones(1)], []  # without a right answer nothing is sure
    for spikes, record, labels in batches:
        right.append(record.margin[record.predictions == labels].cpu())
        parts.append(hidden_spikes(spikes, record).cpu())
    margins, hidden = torch.cat(right).sort().values, torch.cat(parts, 1).sort().values
    least, outside = float(margins[(len(margins) - 1) // DOUBTED]), hidden.shape[1] // OUTSIDE
    ranges = zip(hidden[:, outside].tolist(), hidden[:, -1 - outside].tolist(), strict=True)
    return Limits(margin=math.floor(1000 * least) / 1000, hidden_spikes=tuple(ranges))


def hidden_spikes(spikes: Tensor, record: Record) -> Tensor:
    """Return the hidden spikes of each sample, as `Limits` has them, ``[2 L, B]``.

    ``spikes`` are the input ``[T, B, ...]`` of the network.
    """
    inputs = torch.count_nonzero(spikes, (0, *range(2, spikes.ndim)))
    counts = torch.cat((inputs.unsqueeze(0), record.spike_counts[:-1])).float()
    return torch.cat((counts[1:], counts[1:] / counts[:-1].clamp(min=1)))


def belong(limits: Limits, network: nn.Module) -> bool:
    """Return whether limits were measured on the weights of a network, or are for any."""
    return not limits.weights or limits.weights == digest_of_weights(network)


def are_usual(limits: Limits, record: Record) -> bool | None:
    """Return whether the hidden spikes of one sample are within limits; None where unknown."""
    if not limits.hidden_spikes or record.input is None:
        return None
    low, high = torch.tensor(limits.hidden_spikes).unbind(1)
    spikes = hidden_spikes(record.input, record)[:, 0].cpu()
    if len(low) != len(spikes):
        raise ValueError(
            f"limits have {len(low)} ranges of hidden spikes; expected {len(spikes)}, two for each "
            "hidden layer: measure them with this network"
        )
    return bool(((low <= spikes) & (spikes <= high)).all())

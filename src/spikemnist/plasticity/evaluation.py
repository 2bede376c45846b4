"""What a classifier is worth.

Shapes: ``B`` images, ``C`` classes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spikemnist.plasticity.assignment import VOTINGS, class_scores
from spikemnist.plasticity.checks import encode_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from spikemnist.plasticity.learned import Learned

    Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class STDPEvaluation:
    """Figures of a classifier on labelled images; `spikemnist.viz.confusion` draws them.

    Attributes
    ----------
    accuracy
        Share of images whose predicted class is the label.
    confusion
        ``[C, C]``, int64: row = label, column = prediction.
    votes
        The accuracy of each way to vote, by name: see `spikemnist.plasticity.class_scores`; of
        convolutional features, that of their readout.
    spikes_per_image
        Mean number of spikes of all neurons for an image; of convolutional features, in how many
        cells one of them appears.
    silent
        Share of images for which there was none.
    samples
        How many images were judged.
    seconds
        Wall-clock time, encoding included.

    Examples
    --------
    >>> from spikemnist import STDPClassifier, load_digits
    >>> train, test = load_digits()
    >>> classifier = STDPClassifier(n_neurons=20).partial_fit(train.images[:50], train.labels[:50])
    >>> found = classifier.evaluate(test.images[:30], test.labels[:30])
    >>> found.samples, found.confusion.shape, sorted(found.votes)
    (30, (10, 10), ['assigned', 'proportional'])
    """

    accuracy: float
    confusion: NDArray[Any]
    votes: dict[str, float]
    spikes_per_image: float
    silent: float
    samples: int
    seconds: float


def evaluate(classifier: Learned, images: ArrayLike, labels: ArrayLike) -> STDPEvaluation:
    """Return the figures of a classifier: see `STDPClassifier.evaluate`."""
    started = time.perf_counter()
    counts = classifier.count_spikes(images)
    encoded = encode_labels(labels, len(counts), classifier.classes_)
    scores = {name: class_scores(counts, classifier.responses_, name) for name in sorted(VOTINGS)}
    return judge(scores, classifier.voting, encoded, counts.sum(1), started)


def judge(
    scores: Mapping[str, Array], voting: str, encoded: Array, spikes: Array, started: float
) -> STDPEvaluation:
    """Compare scores of classes with labels.

    Parameters
    ----------
    scores
        ``[B, C]`` of each way to vote.
    voting
        The one that decides.
    encoded
        Number of the class of each image, ``[B]``.
    spikes
        How many each image has caused, ``[B]``.
    started
        When the work began, by `time.perf_counter`.
    """
    predicted = {name: of_classes.argmax(1) for name, of_classes in scores.items()}
    classes = scores[voting].shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (encoded, predicted[voting]), 1)
    votes = {name: float((found == encoded).mean()) for name, found in predicted.items()}
    return STDPEvaluation(
        accuracy=votes[voting],
        confusion=confusion,
        votes=votes,
        spikes_per_image=float(spikes.mean()),
        silent=float((spikes == 0).mean()),
        samples=len(encoded),
        seconds=time.perf_counter() - started,
    )

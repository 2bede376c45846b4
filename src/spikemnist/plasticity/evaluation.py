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
    from numpy.typing import ArrayLike, NDArray

    from spikemnist.plasticity.learned import Learned


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
        The accuracy of each way to vote, by name: see `spikemnist.plasticity.class_scores`.
    spikes_per_image
        Mean number of spikes of all neurons for an image.
    silent
        Share of images for which no neuron fired.
    samples
        How many images were judged.
    seconds
        Wall-clock time, encoding included.
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
    responses, classes = classifier.responses_, len(classifier.classes_)
    predicted = {
        voting: class_scores(counts, responses, voting).argmax(1) for voting in sorted(VOTINGS)
    }
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (encoded, predicted[classifier.voting]), 1)
    votes = {name: float((found == encoded).mean()) for name, found in predicted.items()}
    return STDPEvaluation(
        accuracy=votes[classifier.voting],
        confusion=confusion,
        votes=votes,
        spikes_per_image=float(counts.sum(1).mean()),
        silent=float((counts.sum(1) == 0).mean()),
        samples=len(counts),
        seconds=time.perf_counter() - started,
    )

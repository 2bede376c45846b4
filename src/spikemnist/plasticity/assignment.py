"""Assign neurons to classes, let their spikes vote, and count right votes during training.

Shapes: ``B`` images, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, get_args

import numpy as np

from spikemnist._arguments import check_choice
from spikemnist._names import Voting
from spikemnist._tensors import Array

VOTINGS: tuple[str, ...] = get_args(Voting)
"""Names of the voting rules: see `class_scores`."""

UNASSIGNED = -1
"""The class of a neuron that never fired."""

BLOCK = 64
"""Images encoded at a time. An interruption waits for the end of a block."""

WINDOW = 2000
"""Images that assign neurons during training, and the most images of a running accuracy."""

WINDOWS = 16
"""Least number of running accuracies of a short training."""


class Responses:
    """Responses of neurons to classes: spikes and images, summed over images.

    Parameters
    ----------
    num_classes, num_neurons
        Numbers of classes ``C`` and of neurons ``N``.

    Attributes
    ----------
    spikes
        Spikes of each neuron for the images of each class, float64 ``[C, N]``.
    images
        Number of images of each class, float64 ``[C]``.

    Examples
    --------
    >>> responses = Responses(2, 3)
    >>> responses.add(np.array([[4, 0, 0], [0, 2, 0], [1, 4, 0]]), np.array([0, 1, 1]))
    >>> responses.mean
    array([[4. , 0. , 0. ],
           [0.5, 3. , 0. ]])
    """

    def __init__(self, num_classes: int, num_neurons: int) -> None:
        self.spikes: Array = np.zeros((num_classes, num_neurons))
        self.images: Array = np.zeros(num_classes)

    def add(self, counts: Array, labels: Array) -> None:
        """Add the spikes ``[B, N]`` of images and their classes in 0..C-1 ``[B]``."""
        np.add.at(self.spikes, labels, counts)
        np.add.at(self.images, labels, 1)

    def fade(self, images: int) -> None:
        """Scale the sums so that they count as this number of images at most."""
        factor = min(1.0, images / self.images.sum())
        self.spikes *= factor
        self.images *= factor

    @property
    def mean(self) -> Array:
        """Mean spikes per image of each class, float64 ``[C, N]``; 0 for a class without images."""
        return self.spikes / np.where(self.images > 0, self.images, 1)[:, None]


def assign_classes(mean_responses: Array) -> Array:
    r"""Assign each neuron to the class with its largest response, :math:`\mathrm{argmax}_c r_{cj}`.

    Parameters
    ----------
    mean_responses : numpy.ndarray
        :math:`r_{cj}`, mean spikes of each neuron per image of each class, ``[C, N]``.

    Returns
    -------
    numpy.ndarray
        int64 ``[N]``, -1 for a neuron that never fired.

    Examples
    --------
    >>> assign_classes(np.array([[4.0, 0.0, 0.0], [0.5, 3.0, 0.0]]))
    array([ 0,  1, -1])
    """
    best = mean_responses.argmax(0)
    return np.where(mean_responses.max(0) > 0, best, UNASSIGNED)


def class_scores(counts: Array, mean_responses: Array, voting: str) -> Array:
    r"""Return the score of each class from the spikes for each image.

    Parameters
    ----------
    counts : numpy.ndarray
        Spikes :math:`n_j` of each neuron, ``[B, N]``.
    mean_responses : numpy.ndarray
        :math:`r_{cj}`, mean spikes of each neuron per image of each class, ``[C, N]``.
    voting : str
        Voting rule. ``"assigned"``, the rule of Diehl and Cook: the mean spike count of the neurons
        that are assigned to a class. ``"proportional"``: each spike is shared among the classes,
        :math:`\sum_j n_j r_{cj} / \sum_{c'} r_{c'j}`, so that a neuron that responds to fours and
        to nines votes for both.

    Returns
    -------
    numpy.ndarray
        float64 ``[B, C]``.

    Raises
    ------
    ValueError
        For an unknown voting rule.

    Examples
    --------
    >>> responses = np.array([[4.0, 0.0], [1.0, 3.0]])
    >>> class_scores(np.array([[5, 2]]), responses, "proportional")
    array([[4., 3.]])
    >>> class_scores(np.array([[5, 2]]), responses, "assigned")
    array([[5., 2.]])
    """
    check_choice("voting", voting, sorted(VOTINGS))
    if voting == "assigned":
        members = assign_classes(mean_responses) == np.arange(len(mean_responses))[:, None]
        shares = members / np.maximum(members.sum(1, keepdims=True), 1)
    else:
        total = mean_responses.sum(0)
        shares = mean_responses / np.where(total > 0, total, 1)
    # Not a matrix product: its rounding depends on the number of images, and votes may tie.
    scores: Array = np.einsum("bn,cn->bc", counts.astype(np.float64), shares)
    return scores


class Votes(NamedTuple):
    """What a classifier makes of images.

    Attributes
    ----------
    scores
        Scores ``[B, C]`` by voting rule: see `class_scores`. For convolutional features the readout
        is the only rule.
    rule
        Name of the rule that decides.
    spikes
        Number of spikes for each image, ``[B]``, of all ``"neurons"``, or of all ``"features"``,
        where each that appears in a pooling cell counts as one.
    """

    scores: dict[str, Array]
    rule: str
    spikes: dict[str, Array]

    @property
    def deciding(self) -> Array:
        """Scores ``[B, C]`` by the rule that decides."""
        return self.scores[self.rule]


class Progress:
    """Responses to the latest images and number of right predictions during training.

    Each block of images is classified by the responses to the images before it.

    Parameters
    ----------
    responses : Responses
        Responses so far. The oldest fade, so that they count as `WINDOW` images at most.
    voting : str
        Voting rule, as for `spikemnist.plasticity.class_scores`.
    blocks : iterable of tuple of int, default ()
        Number of images and of right predictions in each block so far.

    Attributes
    ----------
    size : int
        Images so far.
    """

    def __init__(
        self, responses: Responses, voting: str, blocks: Iterable[tuple[int, int]] = ()
    ) -> None:
        self.responses: Responses = responses
        self.voting: str = voting
        self.blocks: list[tuple[int, int]] = list(blocks)
        self.size: int = sum(images for images, _ in self.blocks)

    def add(self, counts: Array, labels: Array) -> None:
        """Add the spikes ``[B, N]`` of a block of images and their classes ``[B]``."""
        predictions = class_scores(counts, self.responses.mean, self.voting).argmax(1)
        self.blocks.append((len(labels), int((predictions == labels).sum())))
        self.size += len(labels)
        self.responses.add(counts, labels)
        self.responses.fade(WINDOW)

    @property
    def accuracy(self) -> float:
        """Share of right predictions in the last blocks."""
        images, right = np.sum(self.blocks[-WINDOW // BLOCK :], 0)
        return float(right / images)

    @property
    def history(self) -> Array:
        """Images so far and share of right predictions for each of W windows, ``[W, 2]``."""
        window = min(WINDOW, max(1, self.size // WINDOWS))
        sums = np.cumsum(self.blocks, 0)
        ends = np.searchsorted(sums[:, 0], np.arange(window, self.size + 1, window))
        sums = sums[np.unique(ends)]
        images, right = np.diff(sums, axis=0, prepend=0).T
        return np.stack([sums[:, 0], right / images], 1)

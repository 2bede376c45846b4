"""Training of a competitive layer: step sizes, passes over images, running accuracy.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist._progress import progress_bar
from spikemnist.plasticity.assignment import Responses, class_scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist._interrupt import Interruption
    from spikemnist.plasticity.competitive_layer import CompetitiveLayer

    Array = NDArray[Any]

BLOCK = 64
"""Images encoded at a time. An interruption waits for the end of a block."""

RESPONDING = 256
"""Images presented at a time for their responses; the threads share them."""

WINDOW = 2000
"""Images that assign neurons during training, and the most images of a running accuracy."""

WINDOWS = 16
"""Least number of running accuracies of a short training."""

LONG, SHORT = 20_000, 1_000
"""Limits between which the defaults depend on the number of presentations in all passes."""

THETA_PLUS = 0.05 / 400
"""Step of a threshold at a spike in a long training, in mV per neuron of the layer."""

LEARNING_RATE = 0.005
"""Learning rate in a long training."""

MONOPOLY = 0.25
"""Share of all spikes above which a neuron is reported."""

IDLE = 0.05
"""Share of neurons that never fired above which they are reported."""


def step_sizes(parameters: Mapping[str, Any], images: int = LONG) -> dict[str, float]:
    """Return ``theta_plus`` and ``learning_rate`` for a number of presentations in all passes."""
    # N neurons share the spikes of B images, so each fires in proportion to B / N. With these
    # spikes its adaptation must rise from 0 to the level at which other neurons win as well: the
    # step is proportional to N / B. Its weights must turn from noise into a digit: the rate is
    # proportional to 1 / B, but not to N, since a neuron among many need not average over as many
    # images. With more than LONG images, the steps of LONG leave time to settle. LONG was chosen
    # for 400 neurons and three seeds, each with 5,000 training images and 4,000 held-out ones.
    shortage = LONG / min(max(images, SHORT), LONG)
    theta_plus, learning_rate = parameters["theta_plus"], parameters["learning_rate"]
    if theta_plus is None:
        theta_plus = THETA_PLUS * parameters["n_neurons"] * shortage
    if learning_rate is None:
        learning_rate = LEARNING_RATE * shortage
    return {"theta_plus": float(theta_plus), "learning_rate": float(learning_rate)}


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
    seen : int
        Images so far.
    """

    def __init__(
        self, responses: Responses, voting: str, blocks: Iterable[tuple[int, int]] = ()
    ) -> None:
        self.responses, self.voting, self.blocks = responses, voting, list(blocks)
        self.seen = sum(images for images, _ in self.blocks)

    def add(self, counts: Array, labels: Array) -> None:
        """Add the spikes ``[B, N]`` of a block of images and their classes ``[B]``."""
        predicted = class_scores(counts, self.responses.mean, self.voting).argmax(1)
        self.blocks.append((len(labels), int((predicted == labels).sum())))
        self.seen += len(labels)
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
        size = min(WINDOW, max(1, self.seen // WINDOWS))
        sums = np.cumsum(self.blocks, 0)
        ends = np.searchsorted(sums[:, 0], np.arange(size, self.seen + 1, size))
        sums = sums[np.unique(ends)]
        images, right = np.diff(sums, axis=0, prepend=0).T
        return np.stack([sums[:, 0], right / images], 1)


@dataclass
class TrainingLoop:
    """Passes over images that a layer learns from.

    Attributes
    ----------
    layer : CompetitiveLayer
        Layer that learns.
    progress : Progress
        Responses and running accuracy of the layer.
    images : torch.Tensor
        Images ``[B, F]``.
    labels : numpy.ndarray
        Class indices ``[B]``.
    seeds : tuple of int
        Seeds of learning and of responding.
    """

    layer: CompetitiveLayer
    progress: Progress
    images: Tensor
    labels: Array
    seeds: tuple[int, int]

    def learn(self, block: Tensor) -> None:
        """Learn from the images with these indices, int64 ``[B]``."""
        counts = self.layer.learn(self.images[block], self.seeds[0], self.progress.seen)
        self.progress.add(counts, self.labels[block.numpy()])

    def passes(self, interruption: Interruption, *, show_bar: bool) -> Iterator[None]:
        """Run the passes that are left, up to an interruption; yield after each of them."""
        progress, parameters = self.progress, self.layer.parameters
        count, total = len(self.images), parameters["passes"] * len(self.images)
        with progress_bar(progress=show_bar, total=total, unit="image") as bar:
            bar.update(progress.seen)
            for number in range(progress.seen // count, parameters["passes"]):
                generator = np.random.default_rng([parameters["random_state"], number])
                order = torch.from_numpy(generator.permutation(count))
                for block in torch.split(order, BLOCK):
                    if interruption.asked():
                        return
                    self.learn(block)
                    bar.set_postfix_str(f"accuracy {progress.accuracy:.1%}", refresh=False)
                    bar.update(len(block))
                yield

    def respond(self, interruption: Interruption, *, show_bar: bool) -> Responses | None:
        """Return the responses to all images, or None if interrupted."""
        responses, labels = Responses(*self.progress.responses.spikes.shape), self.labels
        with progress_bar(progress=show_bar, total=len(labels), unit="image") as bar:
            bar.set_description_str("assigning", refresh=False)
            for images in torch.split(self.images, RESPONDING):
                responses.add(self.layer.respond(images, self.seeds[1]), labels[: len(images)])
                labels = labels[len(images) :]
                bar.update(len(images))
                if interruption.asked():
                    return None
        return responses


def warn_of_idle(spikes: Array, theta_plus: float) -> None:
    """Warn of neurons that never fire, and of a neuron that fires instead of all others.

    Parameters
    ----------
    spikes : numpy.ndarray
        Spikes of each neuron for all images, ``[N]``.
    theta_plus : float
        Step of the adaptation, in mV.
    """
    idle, size = int((spikes == 0).sum()), len(spikes)
    if idle == size:
        warnings.warn(
            "no neuron ever fired: the images are blank, or max_rate is too low", stacklevel=3
        )
        return
    remedy = f"raise theta_plus ({theta_plus:.2g} mV), train on more images, or use fewer neurons"
    if idle > IDLE * size:
        warnings.warn(f"{idle} of {size} neurons never fired: {remedy}", stacklevel=3)
    share = spikes.max() / spikes.sum()
    if size * MONOPOLY > 1 and share > MONOPOLY:
        warnings.warn(
            f"neuron {int(spikes.argmax())} made {share:.0%} of all spikes: {remedy}", stacklevel=3
        )

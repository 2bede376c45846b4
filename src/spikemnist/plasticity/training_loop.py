"""Training of a competitive layer: step sizes, passes over images, progress, checkpoints.

A resumed training gives the same bits as one without an interruption.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import functools
import warnings
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spikemnist import _tensor_files
from spikemnist._checkpoints import check_settings
from spikemnist._progress import progress_bar
from spikemnist.plasticity import files
from spikemnist.plasticity.assignment import Responses, class_scores
from spikemnist.plasticity.files import BEFORE, NOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist._interrupt import Interruption
    from spikemnist.plasticity.competitive_layer import CompetitiveLayer

    Array = NDArray[Any]

BLOCK = 64
"""Images encoded at a time. An interruption waits for the end of a block."""

RESPONDING = 256
"""Images presented at a time for their responses; the threads share them."""

SAVED_EVERY = 10_000
"""Images between two checkpoints; need not be a multiple of `BLOCK`."""

WINDOW = 2000
"""Images that assign neurons during training, and the most images of a running accuracy."""

WINDOWS = 16
"""Windows of a short training; the first has no running accuracy."""

LONG, SHORT = 20_000, 1_000
"""Limits between which the defaults depend on the number of presentations in all passes."""

THETA_PLUS = 0.05 / 400
"""Step of a threshold at a spike in a long training, in mV per neuron of the layer."""

LEARNING_RATE = 0.005
"""Learning rate in a long training."""

LEVEL = 2 / 3
"""Mean adaptation at which all neurons take part, as a share of the way from the threshold to the
excitatory reversal potential."""

FARTHEST = 10
"""Largest factor by which the advised step exceeds the step that was used."""

MONOPOLY = 0.25
"""Share of all spikes above which a neuron is reported."""

IDLE = 0.05
"""Share of neurons that never fired above which they are reported."""


class Pace(NamedTuple):
    """Step sizes of a neuron at each of its spikes: of the threshold, in mV, and the weights."""

    theta_plus: float
    learning_rate: float


def pace(parameters: Mapping[str, Any], images: int = LONG) -> Pace:
    """Return the step sizes of `STDPClassifier` for a number of presentations in all passes."""
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
    return Pace(float(theta_plus), float(learning_rate))


class Progress:
    """Running accuracy and recent responses of a layer during training.

    Images come in windows. The windows before the current one assign the neurons: the last `WINDOW`
    images, or as many as there are. These assignments give the running accuracy of the current
    window.

    Parameters
    ----------
    num_classes, num_neurons : int
        Numbers of classes ``C`` and of neurons ``N``.
    voting : str
        Voting rule, as for `spikemnist.plasticity.class_scores`.
    total : int, optional
        Number of images to come, if known: few images make short windows.

    Attributes
    ----------
    seen : int
        Images so far.
    history : list of tuple
        Images so far and the accuracy, at the end of each window but the first.
    window : int
        Images of a window, which ends with a block.
    """

    def __init__(
        self, num_classes: int, num_neurons: int, voting: str, total: int | None = None
    ) -> None:
        self.seen, self.right = 0, 0
        self.history: list[tuple[int, float]] = []
        self.voting = voting
        self.window = WINDOW if total is None else min(WINDOW, max(1, total // WINDOWS))
        self.now = Responses(num_classes, num_neurons)
        self._windows: deque[Responses] = deque()

    def add(self, counts: Array, labels: Array) -> None:
        """Add the spikes ``[B, N]`` of images and their classes ``[B]``."""
        if self._windows:
            scores = class_scores(counts, self._before.mean, self.voting)
            self.right += int((scores.argmax(1) == labels).sum())
        self.now.add(counts, labels)
        self.seen += len(labels)
        if self.now.images.sum() >= self.window:
            if self._windows:
                self.history.append((self.seen, self.right / int(self.now.images.sum())))
            self._close()

    def _close(self) -> None:
        """Begin a new window, and drop the oldest ones while `WINDOW` images remain."""
        self._windows.append(self.now)
        while self._before.images.sum() - self._windows[0].images.sum() >= WINDOW:
            self._windows.popleft()
        self.now, self.right = self._none(), 0

    def _none(self) -> Responses:
        return Responses(*self.now.spikes.shape)

    @property
    def _before(self) -> Responses:
        """Responses to the images that assign the neurons."""
        return sum(self._windows, self._none())

    @property
    def recent(self) -> Responses:
        """Responses to the images that assign the neurons, and to all images since."""
        return self._before + self.now

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the state as arrays and numbers, for `restore`."""
        shape, counted = (-1, *self.now.spikes.shape), (-1, *self.now.images.shape)
        spikes = np.array([window.spikes for window in self._windows], np.int64)
        images = np.array([window.images for window in self._windows], np.int64)
        arrays = self.now.state(NOW) | {
            f"{BEFORE}.spikes": spikes.reshape(shape),
            f"{BEFORE}.images": images.reshape(counted),
        }
        numbers = {"seen": self.seen, "right": self.right, "history": self.history}
        return arrays, {**numbers, "window": self.window}

    def restore(self, arrays: dict[str, Array], numbers: dict[str, Any]) -> None:
        """Restore the state that `state` returned.

        Raises
        ------
        ValueError
            For values that are no numbers.
        """
        seen, right, history = (numbers[name] for name in ("seen", "right", "history"))
        window = numbers["window"]
        pairs = all(isinstance(a, int) and isinstance(b, float | int) for a, b in history)
        if not (all(isinstance(n, int) for n in (seen, right, window)) and pairs):
            raise ValueError(
                "progress must hold the numbers seen, right and window, and history in pairs"
            )
        self.now.restore(NOW, arrays)
        spikes = arrays[f"{BEFORE}.spikes"].reshape(-1, *self.now.spikes.shape)
        images = arrays[f"{BEFORE}.images"].reshape(-1, *self.now.images.shape)
        self._windows.clear()
        for i in images.any(1).nonzero()[0]:
            self._windows.append(self._none())
            self._windows[-1].spikes[:], self._windows[-1].images[:] = spikes[i], images[i]
        self.seen, self.right, self.window = seen, right, window
        self.history = [(images, accuracy) for images, accuracy in history]


@dataclass
class TrainingLoop:
    """Passes over images that a layer learns from.

    Attributes
    ----------
    layer : CompetitiveLayer
        Layer that learns.
    progress : Progress
        Running accuracy and recent responses of the layer.
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

    def learn_passes(
        self, file: Path | None, interruption: Interruption, *, show_bar: bool
    ) -> None:
        """Run the rest of all passes, up to an interruption."""
        total, progress = int(self.layer.parameters["passes"]) * len(self.images), self.progress
        with progress_bar(progress=show_bar, total=total, unit="image") as bar:
            bar.update(progress.seen)
            for block in self._blocks(total):
                if interruption.asked():
                    break
                self.learn(block)
                if progress.history:
                    accuracy = progress.history[-1][1]
                    bar.set_postfix_str(f"accuracy {accuracy:.1%}", refresh=False)
                bar.update(len(block))
                if file and progress.seen % SAVED_EVERY < len(block):
                    self.save(file)
        if file:
            self.save(file)

    def _blocks(self, total: int) -> Iterator[Tensor]:
        """Yield the indices of images to learn, each pass in its own order."""
        while self.progress.seen < total:
            number, begin = divmod(self.progress.seen, len(self.images))
            generator = np.random.default_rng([self.layer.parameters["random_state"], number])
            order = generator.permutation(len(self.images))[begin:]
            yield from torch.split(torch.from_numpy(order), BLOCK)

    def respond(self, interruption: Interruption, *, show_bar: bool) -> Responses | None:
        """Return the responses to all images, or None if interrupted."""
        responses, labels = Responses(*self.progress.now.spikes.shape), self.labels
        with progress_bar(progress=show_bar, total=len(labels), unit="image") as bar:
            bar.set_description_str("assigning", refresh=False)
            for images in torch.split(self.images, RESPONDING):
                responses.add(self.layer.respond(images, self.seeds[1]), labels[: len(images)])
                labels = labels[len(images) :]
                bar.update(len(images))
                if interruption.asked():
                    return None
        return responses

    def save(self, file: Path) -> None:
        """Write the state that the rest of the passes depends on."""
        arrays, numbers = self.progress.state()
        arrays |= {"weights": self.layer.weights, "theta": self.layer.theta}
        files.write(file, files.CHECKPOINT, arrays, {"run": self._description, "progress": numbers})

    def restore(self, file: Path) -> None:
        """Restore a checkpoint; raise a ValueError if another run wrote it."""
        tensors, metadata = _tensor_files.read(file, files.CHECKPOINT)
        with _tensor_files.described(file, files.CHECKPOINT):
            found, wanted = {**metadata["run"]}, self._description
        check_settings({name: found.get(name) for name in wanted}, wanted, file)
        with _tensor_files.described(file, files.CHECKPOINT):
            classes, neurons = self.progress.now.spikes.shape
            arrays = files.layer_arrays(tensors, neurons, classes, (BEFORE, NOW))
            if arrays["weights"].shape[1] != self.layer.features:
                raise ValueError(f"weights are of {arrays['weights'].shape[1]} pixels")
            self.progress.restore(arrays, metadata["progress"])
            self.layer.set(arrays["weights"], arrays["theta"])

    @functools.cached_property
    def _description(self) -> dict[str, Any]:
        fingerprint = files.fingerprint(self.images, self.labels)
        return {**self.layer.parameters, "data": fingerprint}


def warn_of_idle(spikes: Array, theta: Array, theta_plus: float, reach: float) -> None:
    """Warn of neurons that never fire, and of a neuron that fires instead of all others.

    Parameters
    ----------
    spikes : numpy.ndarray
        Spikes of each neuron for all images, ``[N]``.
    theta : numpy.ndarray
        Adaptation of the thresholds, in mV, ``[N]``.
    theta_plus : float
        Step of the adaptation, in mV.
    reach : float
        Excitatory reversal potential minus the threshold, in mV.
    """
    fired, size = int((spikes > 0).sum()), len(spikes)
    if not fired:
        warnings.warn(
            f"{size} of {size} neurons never fired: the images are blank, or max_rate is too low",
            stacklevel=3,
        )
        return
    higher = _higher(float(theta.mean()), theta_plus, LEVEL * reach)
    if size - fired > IDLE * size:
        remedy = higher or f"try n_neurons={fired}, or more passes"
        warnings.warn(f"{size - fired} of {size} neurons never fired: {remedy}", stacklevel=3)
    share = spikes.max() / spikes.sum()
    if size * MONOPOLY > 1 and share > MONOPOLY:
        remedy = higher or "train on more images"
        warnings.warn(
            f"neuron {int(spikes.argmax())} made {share:.0%} of all spikes: {remedy}", stacklevel=3
        )


def _higher(mean: float, theta_plus: float, level: float) -> str:
    """Return advice on the step that brings thresholds to a level, or an empty string."""
    if mean >= 0.9 * level:
        return ""
    if not theta_plus:
        return "thresholds do not adapt, try theta_plus=None"
    factor = level / max(mean, level / FARTHEST)
    return (
        f"thresholds rose by {mean:.2g} mV instead of about {level:.2g} mV, try "
        f"theta_plus={theta_plus * factor:.2g}"
    )

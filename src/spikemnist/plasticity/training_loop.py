"""The training of a competitive layer: step sizes, passes over images, progress, checkpoints.

A training that was interrupted is resumed to the same bits.

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
"""Images that are encoded at a time. An interruption waits for the end of a block."""

RESPONDING = 256
"""Images that are responded to at a time: the threads share them."""

SAVED_EVERY = 10_000
"""Images between two checkpoints: whole blocks of them need not fit in."""

WINDOW = 2000
"""Images that assign neurons while they learn, and at most as many for a running accuracy."""

WINDOWS = 16
"""Running accuracies of a short training, and the one without a judgement."""

LONG, SHORT = 20_000, 1_000
"""Presentations of all passes between which the defaults follow their number."""

THETA_PLUS = 0.05 / 400
"""Step of a threshold at a spike, per neuron of the layer, in mV, in a long training."""

LEARNING_RATE = 0.005
"""The learning rate in a long training."""

LEVEL = 2 / 3
"""Mean adaptation at which all neurons take part, as a share of the way from the threshold to the
excitatory reversal potential."""

FARTHEST = 10
"""Factor up to which the step that reaches the level is extrapolated."""

MONOPOLY = 0.25
"""Share of all spikes from which a neuron is reported."""

IDLE = 0.05
"""Share of neurons that never fired from which they are reported."""


class Pace(NamedTuple):
    """Steps of a neuron at a spike of its own: of its threshold, in mV, and of its weights."""

    theta_plus: float
    learning_rate: float


def pace(parameters: Mapping[str, Any], images: int = LONG) -> Pace:
    """Return the steps of `STDPClassifier` for a number of presentations, those of all passes."""
    # N neurons share the spikes of B images, so that each makes in proportion to B / N. By them
    # its threshold must rise from 0 to the level at which others win as well: the step goes with
    # N / B. By them its weights must turn from noise into a digit: the rate goes with 1 / B, but
    # not with N, since a neuron among many need not average over as many images. With more than
    # LONG images, the steps of LONG leave time to settle. LONG was chosen for 400 neurons, with
    # 5,000 training images for each of three seeds, and 4,000 others that judged.
    shortage = LONG / min(max(images, SHORT), LONG)
    theta_plus, learning_rate = parameters["theta_plus"], parameters["learning_rate"]
    if theta_plus is None:
        theta_plus = THETA_PLUS * parameters["n_neurons"] * shortage
    if learning_rate is None:
        learning_rate = LEARNING_RATE * shortage
    return Pace(float(theta_plus), float(learning_rate))


class Progress:
    """What is known while a layer learns.

    Images come in windows. The assignments by the windows before, `WINDOW` images of them or as
    many as there are, judge the images of a window: its running accuracy.

    Parameters
    ----------
    num_classes, num_neurons : int
        ``C`` and ``N``.
    voting : str
        As `spikemnist.plasticity.class_scores` takes it.
    total : int, optional
        Images that there will be, if that is known: few of them make short windows.

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
        """Take note of what the neurons did for images, ``[B, N]``, of classes ``[B]``."""
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
        """Begin a new window, and forget the oldest ones as far as `WINDOW` images are left."""
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
        """Responses to the images that assign the neurons, and to those since."""
        return self._before + self.now

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return arrays and numbers from which `restore` rebuilds it."""
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
        """Become what `state` described.

        Raises
        ------
        ValueError
            For numbers that are none.
        """
        seen, right, history = (numbers[name] for name in ("seen", "right", "history"))
        # Files of version 0.1.0 hold one window before, which may have no images.
        window = numbers.get("window", WINDOW)
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
        The layer.
    progress : Progress
        Its running accuracy and recent responses.
    images : torch.Tensor
        ``[B, F]``.
    labels : numpy.ndarray
        Positions of classes, ``[B]``.
    seeds : tuple of int
        Of learning and of responding.
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
        """Do the rest of all passes, or as much of it as there is before an interruption."""
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
        """Yield indices of images, each pass in an order of its own, while they are learned."""
        while self.progress.seen < total:
            number, begin = divmod(self.progress.seen, len(self.images))
            generator = np.random.default_rng([self.layer.parameters["random_state"], number])
            order = generator.permutation(len(self.images))[begin:]
            yield from torch.split(torch.from_numpy(order), BLOCK)

    def respond(self, interruption: Interruption, *, show_bar: bool) -> Responses | None:
        """Return the responses to all images, or None if that is interrupted."""
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
        """Write all that the rest of the passes depends on."""
        arrays, numbers = self.progress.state()
        arrays |= {"weights": self.layer.weights, "theta": self.layer.theta}
        files.write(file, files.CHECKPOINT, arrays, {"run": self._description, "progress": numbers})

    def restore(self, file: Path) -> None:
        """Go back to a checkpoint; raise a ValueError when another run wrote it."""
        tensors, metadata = _tensor_files.read(file, files.CHECKPOINT)
        with _tensor_files.described(file, files.CHECKPOINT):
            found, wanted = {**metadata["run"]}, self._description
            if found["theta_plus"] is None:  # version 0.1.0, whose step followed the neurons alone
                found["theta_plus"] = THETA_PLUS * found["n_neurons"]
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
    """Warn of neurons that never fire, and of one that fires for all the others.

    Parameters
    ----------
    spikes : numpy.ndarray
        Spikes of each neuron for all images, ``[N]``.
    theta : numpy.ndarray
        Adaptation of the thresholds, in mV, ``[N]``.
    theta_plus : float
        Step of the adaptation, in mV.
    reach : float
        Excitatory reversal potential less the threshold, in mV.
    """
    fired, size = int((spikes > 0).sum()), len(spikes)
    if not fired:
        warnings.warn(
            f"{size} of {size} neurons never fired: the images are blank, or max_rate too low",
            stacklevel=3,
        )
        return
    higher = _higher(float(theta.mean()), theta_plus, LEVEL * reach)
    if size - fired > IDLE * size:
        remedy = higher or f"try n_neurons={fired}, or more passes"
        warnings.warn(f"{size - fired} of {size} neurons never fired: {remedy}", stacklevel=3)
    share = spikes.max() / spikes.sum()
    if size * MONOPOLY > 1 and share > MONOPOLY:
        remedy = higher or "show more images"
        warnings.warn(
            f"neuron {int(spikes.argmax())} made {share:.0%} of all spikes: {remedy}", stacklevel=3
        )


def _higher(mean: float, theta_plus: float, level: float) -> str:
    """Return the step with which thresholds would have risen to a level, as advice; or nothing."""
    if mean >= 0.9 * level:
        return ""
    if not theta_plus:
        return "thresholds do not adapt, try theta_plus=None"
    factor = level / max(mean, level / FARTHEST)
    return (
        f"thresholds rose by {mean:.2g} mV of some {level:.2g}, "
        f"try theta_plus={theta_plus * factor:.2g}"
    )

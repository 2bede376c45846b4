"""Passes over images that can be interrupted and resumed, to the same bits.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist.plasticity.assignment import Responses, class_scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.plasticity.network import Layer

    Array = NDArray[Any]

BLOCK = 64
"""Images that are encoded at a time. An interruption waits for the end of a block."""

RESPONDING = 256
"""Images that are responded to at a time: the threads share them."""

WINDOW = 2000
"""Images that assign neurons while they learn, and at most as many for a running accuracy."""

WINDOWS = 16
"""Running accuracies of a short training, and the one without a judgement."""

BEFORE, NOW = "before", "now"
"""Names in files of the responses in the windows before, and in the window at hand."""


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
        self.before, self.now = (Responses(num_classes, num_neurons) for _ in range(2))
        self._windows: deque[Responses] = deque()

    def add(self, counts: Array, labels: Array) -> None:
        """Take note of what the neurons did for images, ``[B, N]``, of classes ``[B]``."""
        if self._windows:
            scores = class_scores(counts, self.before.mean, self.voting)
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
        self.before += self.now
        while self.before.images.sum() - self._windows[0].images.sum() >= WINDOW:
            self.before -= self._windows.popleft()
        self.now, self.right = Responses(*self.now.spikes.shape), 0

    @property
    def recent(self) -> Responses:
        """What the neurons did for the images that assign them, and for those since."""
        recent = Responses(*self.now.spikes.shape)
        recent += self.before
        recent += self.now
        return recent

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
        self.before = Responses(*self.now.spikes.shape)
        for i in images.any(1).nonzero()[0]:
            responses = Responses(*self.now.spikes.shape)
            responses.spikes[:], responses.images[:] = spikes[i], images[i]
            self._windows.append(responses)
            self.before += responses
        self.seen, self.right, self.window = seen, right, window
        self.history = [(images, accuracy) for images, accuracy in history]


def learn_blocks(
    layer: Layer, progress: Progress, images: Tensor, labels: Array, order: Array, seed: int
) -> Iterator[int]:
    """Learn from images in an order, and yield the length of each block when it is done."""
    for begin in range(0, len(order), BLOCK):
        chosen = order[begin : begin + BLOCK]
        counts = layer.learn(images[torch.from_numpy(chosen)], seed, progress.seen)
        progress.add(counts, labels[chosen])
        yield len(chosen)


def respond(layer: Layer, images: Tensor, seed: int) -> Iterator[Array]:
    """Yield how often each neuron fires, block by block of images."""
    for begin in range(0, len(images), RESPONDING):
        yield layer.respond(images[begin : begin + RESPONDING], seed)

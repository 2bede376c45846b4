"""Passes over images that can be interrupted and resumed, to the same bits.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

import torch

from spikemnist.plasticity.assignment import Responses, class_scores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.plasticity.network import Layer

    Array = NDArray[Any]

BLOCK = 64
"""Images that are encoded at a time. An interruption waits for the end of a block."""

RESPONDING = 256
"""Images that are responded to at a time: the threads share them."""

WINDOW = 2000
"""Images over which the running accuracy is estimated, after as many for the assignments."""

RESPONSES = ("before", "now")
"""What files call the responses in the window before, and in the one at hand."""


class Progress:
    """What is known while a layer learns.

    Parameters
    ----------
    num_classes, num_neurons
        ``C`` and ``N``.
    voting
        As `spikemnist.plasticity.class_scores` takes it.

    Attributes
    ----------
    seen
        Images so far.
    history
        For each window but the first: how many images had been seen at its end, and the accuracy
        in it by the assignments of the window before.
    """

    def __init__(self, num_classes: int, num_neurons: int, voting: str) -> None:
        self.seen, self.right = 0, 0
        self.history: list[tuple[int, float]] = []
        self.voting = voting
        self.before, self.now = (Responses(num_classes, num_neurons) for _ in range(2))

    def add(self, counts: Array, labels: Array) -> None:
        """Take note of what the neurons did for images, ``[B, N]``, of classes ``[B]``."""
        if self.before.images.any():
            scores = class_scores(counts, self.before.mean, self.voting)
            self.right += int((scores.argmax(1) == labels).sum())
        self.now.add(counts, labels)
        self.seen += len(labels)
        if self.now.images.sum() >= WINDOW:
            if self.before.images.any():
                self.history.append((self.seen, self.right / int(self.now.images.sum())))
            fresh = Responses(*self.now.spikes.shape)
            self.before, self.now, self.right = self.now, fresh, 0

    @property
    def recent(self) -> Responses:
        """What the neurons did for the last one or two windows."""
        recent = Responses(*self.now.spikes.shape)
        recent.spikes += self.before.spikes + self.now.spikes
        recent.images += self.before.images + self.now.images
        return recent

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return arrays and numbers from which `restore` rebuilds it."""
        before, now = RESPONSES
        arrays = self.before.state(before) | self.now.state(now)
        return arrays, {"seen": self.seen, "right": self.right, "history": self.history}

    def restore(self, arrays: dict[str, Array], numbers: dict[str, Any]) -> None:
        """Become what `state` described.

        Raises
        ------
        ValueError
            For numbers that are none.
        """
        seen, right, history = (numbers[name] for name in ("seen", "right", "history"))
        pairs = all(isinstance(a, int) and isinstance(b, float | int) for a, b in history)
        if not (isinstance(seen, int) and isinstance(right, int) and pairs):
            raise ValueError("progress must hold the numbers seen and right, and history in pairs")
        for name, responses in zip(RESPONSES, (self.before, self.now), strict=True):
            responses.restore(name, arrays)
        self.seen, self.right = seen, right
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


class Interruption:
    """Whether somebody has pressed Ctrl-C; the second time it is not waited for."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Be the handler of the signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let Ctrl-C ask for the end, in place of ending whatever is being done.

    Only the main thread gets signals; elsewhere nobody asks.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.signal(signal.SIGINT, interruption.ask)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)

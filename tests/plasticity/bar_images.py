"""Images of bars, a classifier that learns them, and ways to disturb it.

Shapes: ``B`` images, ``H`` rows and ``W`` columns of pixels.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spikemnist.plasticity import STDPClassifier, training_loop
from spikemnist.plasticity.training_loop import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIDE = 6


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images ``[B, H, W]`` of a row, class 0, or of a column, class 1, on dim noise."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (count, SIDE, SIDE)).astype(np.uint8)
    labels, places = random.integers(0, 2, count), random.integers(0, SIDE, count)
    for image, label, place in zip(images, labels, places, strict=True):
        (image.T if label else image)[place] = 255
    return images, labels


def small(**options: Any) -> STDPClassifier:
    """Return a classifier that learns bars within a few hundred of them."""
    defaults = {
        "n_neurons": 20,
        "duration": 40.0,
        "max_rate": 200.0,
        "min_spikes": 1,
        "total_weight": 15.0,
        "learning_rate": 0.05,
        "theta_plus": 0.5,
    }
    return STDPClassifier(**{**defaults, **options})


def twice(**options: Any) -> STDPClassifier:
    """Return one that goes through 400 images twice, in 14 blocks."""
    return small(**{"passes": 2, **options})


IMAGES, LABELS = bars(400, 0)
OTHERS, ANSWERS = bars(200, 1)


def learned(classifier: STDPClassifier) -> list[np.ndarray]:
    """Return all that has been learned."""
    return [
        classifier.weights_,
        classifier.theta_,
        classifier.responses_,
        classifier.assignments_,
        classifier.accuracy_history_,
        np.array(classifier.n_images_seen_),
        classifier.classes_,
    ]


def same(first: STDPClassifier, second: STDPClassifier) -> bool:
    return all(map(np.array_equal, learned(first), learned(second)))


def digest(classifier: STDPClassifier) -> str:
    """Return a hash of what a classifier makes of images."""
    made = [
        classifier.count_spikes(OTHERS),
        classifier.decision_function(OTHERS),
        classifier.assignments_,
    ]
    whole = b"".join(np.ascontiguousarray(array).tobytes() for array in made)
    return hashlib.sha256(whole + str(classifier.predict(OTHERS).tolist()).encode()).hexdigest()


def after(blocks: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something while block number ``blocks``, counted from 1, is taken note of."""
    add, count = Progress.add, [0]

    def counting(progress: Progress, *arguments: Any) -> None:
        count[0] += 1
        if count[0] == blocks:
            act()
        add(progress, *arguments)

    monkeypatch.setattr(Progress, "add", counting)


def press() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


PREFIX = """
import sys
from tests.plasticity import bar_images as tests
"""
STOP = PREFIX + "tests.stop(*sys.argv[1:])"
LOAD = PREFIX + "print(tests.digest(tests.STDPClassifier.load(sys.argv[1])))"


def python(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Run code that imports this module in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )


def stop(file: str, block: str) -> None:
    """Say "here" in a block of a fit that saves often, and go no further: for `KILLS`."""

    def wait() -> None:
        print("here", flush=True)
        sys.stdin.read()

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(training_loop, "SAVED_EVERY", 100)
        after(int(block), monkeypatch, wait)
        twice().fit(IMAGES, LABELS, checkpoint=file, progress=False)

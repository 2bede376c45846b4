"""Classifiers that learn images of bars.

Shapes: ``B`` images, ``H`` rows and ``W`` columns of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from spikemnist.plasticity.assignment import Progress
from tests.data.bars import IMAGES, LABELS, SIDE, TEST_IMAGES, TEST_LABELS, bars

__all__ = ["IMAGES", "LABELS", "SIDE", "TEST_IMAGES", "TEST_LABELS", "bars"]


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


def small_features(**options: Any) -> ConvSTDPClassifier:
    """Return a classifier that learns features of bars."""
    defaults = {
        "n_features": 8,
        "kernel_size": 3,
        "pool_size": 2,
        "threshold": 2.0,
        "n_winners": 2,
        "inhibition_radius": 1,
        "doubling": 50,
        "epochs": 15,
        "batch_size": 50,
        "lr": 0.02,
    }
    return ConvSTDPClassifier(**{**defaults, **options})


def state(classifier: STDPClassifier) -> list[np.ndarray]:
    """Return everything learned, and what it makes of other images."""
    return [
        classifier.weights_,
        classifier.theta_,
        classifier.responses_,
        classifier.accuracy_history_,
        classifier.classes_,
        classifier.decision_function(TEST_IMAGES),
    ]


def same(first: STDPClassifier, second: STDPClassifier) -> bool:
    return all(map(np.array_equal, state(first), state(second)))


def after(blocks: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Call a function while block number ``blocks``, counted from 1, is learned."""
    add, count = Progress.add, [0]

    def counting(progress: Progress, *arguments: Any) -> None:
        count[0] += 1
        if count[0] == blocks:
            act()
        add(progress, *arguments)

    monkeypatch.setattr(Progress, "add", counting)

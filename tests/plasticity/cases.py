"""The files and pictures of STDP, for the laws of all files and pictures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemnist import load_digits, viz
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier, stdp_window
from tests.files.changes import tensor
from tests.plasticity.bar_images import IMAGES, LABELS, small, small_features

NEURONS, FEATURES = LEARNED = "stdp.safetensors", "conv.safetensors"


def state(classifier: STDPClassifier | ConvSTDPClassifier) -> Any:
    return classifier.get_params(), torch.from_numpy(classifier.weights_)


def write(folder: Path) -> None:
    small(n_neurons=5).fit(IMAGES, LABELS, progress=False).save(folder / NEURONS)
    small_features(epochs=1).fit(IMAGES, LABELS).save(folder / FEATURES)


READERS = [
    (NEURONS, lambda path: state(STDPClassifier.load(path))),
    (FEATURES, lambda path: state(ConvSTDPClassifier.load(path))),
]
WRITERS = [write]
CHANGES = [
    (LEARNED, "control characters", lambda m, _: m["classes"].__setitem__(0, "\x1b[31m")),
    (LEARNED, "weights.* is missing", lambda _, tensors: tensors.pop("weights")),
    (LEARNED, "weights is float64", tensor("weights", Tensor.double)),
    (LEARNED, r"weights is float32 \[4", tensor("weights", lambda x: x[:4])),
    (LEARNED, "expected", lambda m, _: m.update(classes=[3])),
    (LEARNED, "speed", lambda m, _: m["parameters"].update(speed=9)),
    (LEARNED, "threshold", lambda m, _: m["parameters"].update(threshold=None)),
    ([NEURONS], "not enough values", lambda m, _: m.update(steps=[0.1])),
]
"""Names of files, words of the error, and a change."""

OF_KERNELS = [
    "plasticity/test_competition.py::test_the_layer_equals_its_stepped_equations",
    "plasticity/test_conv_stdp.py::test_features_equal_their_stepped_description",
]
"""Tests that run each line of a kernel."""

CLASSIFIER = SimpleNamespace(
    assignments_=np.array([0, 1, 1, -1, 2, 1]),
    classes_=np.array(["a", "b", "c"]),
    theta_=np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    weights_=np.random.default_rng(0).random((6, 12)).astype(np.float32),
    accuracy_history_=np.array([[4000.0, 0.5], [6000.0, 0.75]]),
)
LAGS = torch.arange(-60.0, 61.0)

OF_DATA = [("stdp", CLASSIFIER), ("animate_receptive_fields", [torch.rand(9, 784)] * 2)]
OF_AXES = [("stdp_window", lambda ax: viz.stdp_window(LAGS, stdp_window(LAGS), ax=ax))]
OF_OWN_SIZE = [("stdp", lambda: viz.stdp(CLASSIFIER))]
PICTURES = [("stdp_window", lambda: viz.stdp_window(LAGS, stdp_window(LAGS)))]
NAMES_OF_OPTIONS = [
    (
        "STDPClassifier has no option 'seed'; did you mean random_state?",
        lambda: STDPClassifier(seed=1),
    )
]


def write_to(kind: Any, **options: Any) -> Any:
    return lambda path: kind(**options).fit(IMAGES, LABELS).save(path)


TO_FILES = [
    ("STDPClassifier.save", write_to(STDPClassifier, n_neurons=8)),
    ("ConvSTDPClassifier.save", write_to(ConvSTDPClassifier, n_features=4, kernel_size=3)),
]
"""What writes a file of a path."""


def classifiers() -> Any:
    yield small().fit(IMAGES, LABELS, progress=False)
    yield small_features(epochs=1).fit(IMAGES, LABELS)


CLASSIFIERS = [("neurons", lambda: next(classifiers())), ("features", lambda: [*classifiers()][1])]
"""Kinds of classifiers that `load` returns."""

DIGITS = load_digits()[0][:60]
LEARNED_CLASSIFIERS = [
    (
        "neurons",
        lambda: STDPClassifier(n_neurons=20, theta_plus=0.1).fit(DIGITS.images, DIGITS.labels),
    ),
    (
        "features",
        lambda: ConvSTDPClassifier(n_features=4, epochs=1).fit(DIGITS.images, DIGITS.labels),
    ),
]
"""Classifiers of digits that `decide` takes."""

WRONG_REQUESTS = [
    ("stdp --neurons 1000000000000", "--neurons must be a whole number from 1 to 1,000,000"),
    ("stdp --theta-plus -1", "--theta-plus must be"),
    ("stdp --data nmnist", "--data: unknown 'nmnist'; did you mean mnist?"),
]
"""Words of a command, and the message with which it is refused."""

IDLE_OPTIONS = [
    ("stdp --root .", "--root: for digits, which come with the package"),
    ("stdp --features 8 --neurons 9", "--neurons: with --features"),
    ("stdp --features 8 --voting assigned --passes 2", "--passes, --voting: with --features"),
    ("stdp --features 8 --theta-plus 1", "--theta-plus: with --features"),
]
"""Options of a command that would do nothing, and why."""

"""What `fit` warns of: silent and saturated layers, and a validation that falls behind."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from spikemnist.training import TrainConfig, TrainingWarning, fit
from spikemnist.training.metrics import validation_findings
from tests.training.small_runs import DIRECT, digits, new_classifier, set_biases

REMEDY = "diagnose(classifier, train), or train --diagnose, says why and what to try"
CONFIG = TrainConfig(epochs=1, lr=0.01, batch_size=16)
SILENT = {"hidden": (16, 12), "threshold": [0.3, 1e6, 1e6]}
SILENT_OUTPUT = {"threshold": [0.3, 1e6]}


def messages(recwarn):
    assert all(warning.category is TrainingWarning for warning in recwarn)
    return [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        # The layers behind it get no input.
        (SILENT | {"readout": "spike_count"}, [f"hidden 2 did not fire in an epoch: {REMEDY}"]),
        (SILENT | {"readout": "first_spike"}, [f"hidden 2 did not fire in an epoch: {REMEDY}"]),
        # An output that is read by its membranes need not fire.
        (SILENT_OUTPUT | {"readout": "mean_membrane"}, []),
        (SILENT_OUTPUT | {"readout": "max_membrane"}, []),
    ],
)
def test_first_of_silent_layers(options, expected, recwarn):
    fit(new_classifier(DIRECT, **options), digits(160), CONFIG)
    assert messages(recwarn) == expected


def test_two_classes_that_are_told_apart_are_no_guess():
    """The hidden layer is silent at first, and training wakes it."""
    classifier = new_classifier(DIRECT, threshold=[0.5, 0.3], out_features=2)
    images, labels = digits(400).images, digits(400).labels
    few = labels < 2
    config = replace(CONFIG, epochs=4, batch_size=8)
    assert fit(classifier, (images[few], labels[few]), config).epochs[-1].accuracy > 0.9


def test_saturated_layer(recwarn):
    classifier = new_classifier(DIRECT, reset_mechanism="none")
    set_biases(classifier, 100)
    fit(classifier, digits(160), CONFIG)
    expected = [f"hidden 1 fired at nearly every timestep of an epoch: {REMEDY}"]
    assert messages(recwarn) == expected


def test_layer_that_training_silences(recwarn):
    """The warning comes after each such epoch, and points at the caller of `fit`."""
    warnings.simplefilter("always")
    kill = lambda history, classifier: set_biases(classifier, -100)  # noqa: E731
    fit(new_classifier(DIRECT), digits(160), replace(CONFIG, epochs=3), callbacks=[kill])
    assert [text[:23] for text in messages(recwarn)] == ["hidden 1 did not fire i"] * 2
    assert {warning.filename for warning in recwarn} == {__file__}


@pytest.mark.parametrize("seen", [True, False])
def test_images_that_are_learned_by_heart(seen, recwarn):
    """Labels by chance, of images that are validated, or of others."""
    labels = torch.arange(400) % 10
    images = torch.rand(400, 28, 28, generator=torch.Generator().manual_seed(0))
    train, other = (images[:200], labels[:200]), (images[200:], labels[200:])
    config = TrainConfig(epochs=30, batch_size=32, lr=0.003, schedule="constant")
    classifier = new_classifier(DIRECT, hidden=(64,))
    fit(classifier, train, config, validation=train if seen else other)
    guess = "the network guesses. Do labels and grey values of the validation"
    assert [guess in text for text in messages(recwarn)] == [True] * (not seen)


@pytest.mark.parametrize(
    ("training", "right", "samples", "warns"),
    [(0.08, 0, 10, False), (1.0, 9, 10, False), (1.0, 2, 10, True), (0.99, 890, 1000, True)],
)
def test_few_validation_samples_prove_little(training, right, samples, warns):
    assert bool([*validation_findings(training, right / samples, samples, 10)]) == warns


@pytest.mark.parametrize(
    ("validation", "classes", "state"),
    [(0.1, 10, "guesses"), (0.3, 10, "overfits"), (0.5, 2, "guesses"), (0.7, 2, "overfits")],
)
def test_a_guess_is_no_overfitting(validation, classes, state):
    (message,) = validation_findings(0.99, validation, 1000, classes)
    assert f": the network {state}. " in message

"""What `fit` warns of: silent and saturated layers, and a validation that falls behind."""

from __future__ import annotations

import warnings

import pytest
import torch

from spikemnist.encoding import DirectEncoder
from spikemnist.training import TrainConfig, TrainingWarning, fit
from spikemnist.training.metrics import of_validation
from tests.training.small_runs import digits, new_classifier

REMEDY = "diagnose(classifier, train), or train --diagnose, says why and what to try"


def make(**options):
    return new_classifier(DirectEncoder(num_steps=4), **options)


def warned(classifier, epochs=1, callbacks=()):
    config = TrainConfig(epochs=epochs, lr=0.01, batch_size=16)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(classifier, digits(160), config, callbacks=callbacks)
    assert all(warning.category is TrainingWarning for warning in caught)
    return caught


def messages(classifier, epochs=1, callbacks=()):
    return [str(warning.message) for warning in warned(classifier, epochs, callbacks)]


def test_no_warning_where_all_is_well():
    assert messages(make(), epochs=2) == []


def test_two_classes_that_are_told_apart_are_no_guess():
    """The hidden layer is silent at first, and training wakes it."""
    classifier = make(threshold=[0.5, 0.3], out_features=2)
    images, labels = digits(400).images, digits(400).labels
    few = labels < 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = TrainConfig(epochs=4, lr=0.01, batch_size=8)
        history = fit(classifier, (images[few], labels[few]), config)
    assert history.epochs[-1].accuracy > 0.9


@pytest.mark.parametrize("readout", ["spike_count", "first_spike"])
def test_first_of_silent_layers(readout):
    """The layers behind it get no input."""
    classifier = make(hidden=(16, 12), threshold=[0.3, 1e6, 1e6], readout=readout)
    assert messages(classifier) == [f"hidden 2 did not fire in an epoch: {REMEDY}"]


@pytest.mark.parametrize("readout", ["mean_membrane", "max_membrane"])
def test_silent_output_that_is_read_by_its_membranes(readout):
    assert messages(make(threshold=[0.3, 1e6], readout=readout)) == []


def test_saturated_layer():
    classifier = make(reset_mechanism="none")
    with torch.no_grad():
        classifier.network.layers[0].linear.bias.fill_(100)
    assert messages(classifier) == [
        f"hidden 1 fired at nearly every timestep of an epoch: {REMEDY}"
    ]


def test_layer_that_training_silences():
    """The warning comes after each such epoch, and points at the caller of `fit`."""

    def kill(history, classifier):
        with torch.no_grad():
            classifier.network.layers[0].linear.bias.fill_(-100)

    caught = warned(make(), epochs=3, callbacks=[kill])
    assert [str(one.message)[:23] for one in caught] == ["hidden 1 did not fire i"] * 2
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("seen", [True, False])
def test_images_that_are_learned_by_heart(seen):
    """Labels by chance, of images that are validated, or of others."""
    labels = torch.arange(400) % 10
    images = torch.rand(400, 28, 28, generator=torch.Generator().manual_seed(0))
    train, other = (images[:200], labels[:200]), (images[200:], labels[200:])
    config = TrainConfig(epochs=30, batch_size=32, lr=0.003, schedule="constant")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(make(hidden=(64,)), train, config, validation=train if seen else other)
    texts = [str(warning.message) for warning in caught]
    if seen:
        assert texts == []
    else:
        (message,) = texts
        assert "the network guesses. Do labels and grey values of the validation" in message


@pytest.mark.parametrize(
    ("training", "right", "samples", "warns"),
    [(0.08, 0, 10, False), (1.0, 9, 10, False), (1.0, 2, 10, True), (0.99, 890, 1000, True)],
)
def test_few_validation_samples_prove_little(training, right, samples, warns):
    assert bool([*of_validation(training, right / samples, samples, 10)]) == warns


@pytest.mark.parametrize(
    ("validation", "classes", "state"),
    [(0.1, 10, "guesses"), (0.3, 10, "overfits"), (0.5, 2, "guesses"), (0.7, 2, "overfits")],
)
def test_a_guess_is_no_overfitting(validation, classes, state):
    (message,) = of_validation(0.99, validation, 1000, classes)
    assert f": the network {state}. " in message

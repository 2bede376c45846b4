"""Layers that say nothing, or nothing but spikes."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.data import ImageDataset
from spikemnist.encoding import DirectEncoder
from spikemnist.models import summary
from spikemnist.training import TrainConfig, TrainingWarning, cross_entropy, diagnose, evaluate, fit
from spikemnist.training.feed import make_feed
from spikemnist.training.findings import of_images, of_layers, of_validation
from tests.training.small_runs import digits, new_classifier

DIRECT = DirectEncoder(num_steps=4)


def make(**options):
    return new_classifier(DIRECT, **options)


def warned(classifier, epochs=1, lr=0.01, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(classifier, digits(160), TrainConfig(epochs=epochs, lr=lr, batch_size=16, **options))
    assert all(warning.category is TrainingWarning for warning in caught)
    return caught


def messages(classifier, epochs=1, **options):
    return [str(warning.message) for warning in warned(classifier, epochs, **options)]


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
def test_only_the_first_of_silent_layers(readout):
    """The layers behind it get no input."""
    (message,) = messages(make(hidden=(16, 12), threshold=[0.3, 1e6, 1e6], readout=readout))
    assert message.startswith("hidden 2 is silent: its membranes reach ")


def test_what_the_warning_proposes_removes_it():
    (message,) = messages(make(threshold=[50, 0.3]))
    rate, threshold = re.search(
        r"start with initial_rate=(\S+), or threshold=(\S+)$", message
    ).groups()
    assert messages(make(threshold=[50, 0.3]), initial_rate=float(rate)) == []
    assert messages(make(threshold=[float(threshold), 0.3])) == []


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ({}, {"lr": 1e-9}, "the learning rate 1e-09 is too low; start with lr=0.01"),
        ({"threshold": 1e6}, {"weight_decay": 1e3, "lr": 0.03}, "weight_decay 1000 has shrunk the"),
        ({}, {"spike_penalty": 1.0}, "with spike_penalty 1 spikes cost more than right answers"),
        ({}, {"optimizer": "sgd", "clip_norm": 1e-6}, "clip_norm 1e-06 has cut gradients of norm"),
        ({"threshold": 1.0}, {"lr": 10.0}, "the learning rate 10 is too high; start with lr=0.01"),
        ({"threshold": 2.0, "spike_grad": "heaviside"}, {}, "hidden 1 has almost no surrogate gr"),
    ],
)
def test_the_cause_is_named(network, options, message):
    text, *_ = messages(make(**network), **options)
    assert message in text


def test_a_layer_that_dies_is_no_layer_that_never_fired():
    def kill(history, classifier):
        with torch.no_grad():
            classifier.network.layers[0].linear.bias.fill_(-100)

    config = TrainConfig(epochs=2, lr=0.01, batch_size=16)
    with pytest.warns(
        TrainingWarning, match="training has silenced hidden 1: .* a tenth of the lr"
    ):
        fit(make(), digits(160), config, callbacks=[kill])


def test_a_layer_that_training_never_woke_is_not_silenced_by_it():
    """It is silent at first, and fires in the first epoch, which teaches nothing."""
    classifier, epochs = make(threshold=[50, 0.3]), []

    def disturb(record, labels):
        with torch.no_grad():
            classifier.network.layers[0].linear.bias.fill_(-100 if epochs else 100)
        return cross_entropy(record, labels)

    config = TrainConfig(epochs=2, lr=1e-9, batch_size=16, loss=disturb)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(classifier, digits(160), config, callbacks=[lambda history, _: epochs.append(history)])
    first, second = (str(warning.message) for warning in caught)
    assert first.startswith("hidden 1 is silent")
    assert second.startswith("hidden 1 is silent")


def test_black_images_are_no_input():
    images, labels = digits(160).images * 0, digits(160).labels
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(new_classifier("latency"), (images, labels), TrainConfig(epochs=1, batch_size=16))
    (text,) = [str(warning.message) for warning in caught]
    assert text.startswith("hidden 1 has no input")


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


@pytest.mark.parametrize("readout", ["mean_membrane", "max_membrane"])
def test_a_silent_output_that_is_read_by_its_membranes(readout):
    assert messages(make(threshold=[0.3, 1e6], readout=readout)) == []


def test_a_saturated_layer():
    classifier = make(reset_mechanism="none")
    with torch.no_grad():
        classifier.network.layers[0].linear.bias.fill_(100)
    (message,) = messages(classifier)
    assert message.startswith("100% of the neurons of hidden 1 fire at every timestep: its membr")
    assert "; start with initial_rate=0.1, or threshold=" in message


@pytest.mark.parametrize(("share", "findings"), [(0.5, 0), (0.51, 1)])
def test_a_layer_of_which_half_is_saturated(share, findings):
    layer, _ = summary(make(), digits(16).images).layers
    assert len([*of_layers([replace(layer, saturated=share)], {"hidden 1"})]) == findings


OUTPUTS = "the network has {} outputs, the data have {} classes, and outputs do not vote"


@pytest.mark.parametrize("outputs", [19, 20, 500])
def test_outputs_without_names_that_are_twice_the_classes(outputs):
    """A population of outputs for each class is judged by its largest output."""
    message, bad = OUTPUTS.format(outputs, 10), outputs > 19
    classifier = make(out_features=outputs)
    assert [message in text for text in messages(classifier, epochs=2)] == [True] * bad
    data = digits(160)
    for test in (data, (data.images, data.labels), list(data.batches(40))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            evaluate(classifier, test, progress=False)
        assert [str(one.message).startswith(message) for one in caught] == [True] * bad
    classifier.classes = tuple(map(str, range(outputs)))  # each output stands for something
    assert messages(classifier) == []


def test_few_images_do_not_show_the_number_of_classes():
    images, labels = digits(400).images, digits(400).labels
    low = labels < 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(make(), (images[low][:31], labels[low][:31]), progress=False)
    with pytest.warns(UserWarning, match=OUTPUTS.format(10, 2)):
        evaluate(make(), (images[low][:32], labels[low][:32]), progress=False)


def test_the_warning_points_at_the_caller_and_comes_each_epoch():
    caught = warned(make(threshold=[0.3, 1e6], readout="spike_count"), epochs=3)
    assert len(caught) == 3
    assert {warning.filename for warning in caught} == {__file__}


@given(st.lists(st.integers(0, 255), max_size=6))
def test_images_are_dark_by_their_brightest_pixel(pixels):
    def images(factor=1):
        values = torch.tensor(pixels, dtype=torch.uint8) * factor
        return ImageDataset(values, torch.zeros(len(pixels)).long())

    highest = max(pixels, default=0)
    actual = [*of_images(images())]
    assert len(actual) == (0 < highest < 64)
    for text in actual:
        factor = int(re.search(rf"up to {highest} of 255: multiply them by (\d+)$", text)[1])
        assert highest * factor <= 255 < highest * (factor + 1)
        assert not [*of_images(images(factor))]


def test_dark_images_are_named_once_by_fit_and_diagnose():
    data = digits(160)
    dark = ImageDataset(data.images // 16, data.labels)
    config = TrainConfig(epochs=3, batch_size=16)
    for run in (
        lambda: fit(make(), dark, config, validation=0.2),
        lambda: fit(make(), (dark.images, dark.labels), config),
        lambda: diagnose(make(), dark, config),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
        (warning,) = [one for one in caught if "are dark" in str(one.message)]
        assert (warning.category, warning.filename) == (TrainingWarning, __file__)
        assert str(warning.message) == "the images are dark, up to 15 of 255: multiply them by 17"


def test_slices_batches_and_black_images_are_not_dark():
    data = digits(160)
    dark = ImageDataset(data.images // 16, data.labels)
    evaluate(make(), dark[:4])
    for train in (
        ImageDataset(torch.cat((dark.images, data.images[:1])), torch.zeros(161).long()),
        ImageDataset(dark.images / 255, dark.labels),
        ImageDataset(dark.images * 0, dark.labels),
        [(dark.images, dark.labels)],
    ):
        assert not [*of_images(make_feed(train, 16, torch.device("cpu"), "train").data)]

"""Layers that say nothing, or nothing but spikes."""

from __future__ import annotations

import warnings

import pytest
import torch

from spikemnist.encoding import DirectEncoder
from spikemnist.training import TrainConfig, fit
from spikemnist.training.monitor import overfits
from tests.training.small_runs import digits, new_classifier

DIRECT = DirectEncoder(num_steps=4)


def make(**options):
    return new_classifier(DIRECT, **options)


def warned(classifier, epochs=1, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(classifier, digits(40), TrainConfig(epochs=epochs, lr=1e-9, batch_size=16, **options))
    assert all(warning.category is UserWarning for warning in caught)
    return caught


def messages(classifier, epochs=1, **options):
    return [str(warning.message) for warning in warned(classifier, epochs, **options)]


SILENT = "did not fire once in an epoch: lower its threshold, raise beta, or feed it more spikes"
SATURATED = (
    "made more than 95% of all possible spikes in an epoch: raise its threshold, lower beta, or "
    "feed it fewer spikes"
)


def test_no_warning_where_all_is_well():
    assert messages(make(), epochs=2) == []


@pytest.mark.parametrize("readout", ["spike_count", "first_spike"])
def test_silent_layers(readout):
    classifier = make(hidden=(16, 12), threshold=[0.3, 1e6, 1e6], readout=readout)
    assert messages(classifier) == [f"layer 'hidden 2' {SILENT}", f"layer 'output' {SILENT}"]


def test_a_layer_that_weight_decay_silences():
    (message,) = messages(make(threshold=[1e6, 0.3]), weight_decay=10.0)
    decay, rest = message.split("lower weight_decay (10), or ")
    assert f"{decay}{rest}" == f"layer 'hidden 1' {SILENT}"


def test_a_beta_that_leaves_its_range():
    classifier = make(learn_beta=True)
    assert messages(classifier) == []
    with torch.no_grad():
        classifier.network.layers[1].leaky.beta.fill_(1.01)
    (message,) = messages(classifier)
    assert message.startswith("beta of network[1].leaky has left [0, 1]: the neurons clip it")


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
        assert "the network overfits. Remedies: augment=" in message


@pytest.mark.parametrize(
    ("training", "right", "samples", "warns"),
    [(0.08, 0, 10, False), (1.0, 9, 10, False), (1.0, 2, 10, True), (0.99, 890, 1000, True)],
)
def test_few_validation_samples_prove_little(training, right, samples, warns):
    assert overfits(training, right / samples, samples) == warns


@pytest.mark.parametrize("readout", ["mean_membrane", "max_membrane"])
def test_a_silent_output_that_is_read_by_its_membranes(readout):
    assert messages(make(threshold=[0.3, 1e6], readout=readout)) == []


def saturated():
    classifier = make(reset_mechanism="none")
    with torch.no_grad():
        classifier.network.layers[0].linear.bias.fill_(100)
    return classifier


def test_a_saturated_layer():
    assert messages(saturated()) == [f"layer 'hidden 1' {SATURATED}"]


def test_a_layer_just_below_saturation():
    """Fifteen of sixteen neurons fire at every step: 93.75 %."""
    classifier = saturated()
    with torch.no_grad():
        classifier.network.layers[0].linear.bias[3] = -100
    assert messages(classifier) == []


def test_one_spike_in_an_epoch_is_enough():
    classifier = make(threshold=[0.3, 2.0], readout="spike_count")
    linear = classifier.network.layers[1].linear
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.zero_()
        linear.bias[0] = 0.6  # at beta 0.9: 0.6, 1.14, 1.626, 2.06 fires last
    assert messages(classifier) == []


def test_the_warning_points_at_the_caller_and_comes_each_epoch():
    caught = warned(make(threshold=[0.3, 1e6], readout="spike_count"), epochs=3)
    assert len(caught) == 3
    assert {warning.filename for warning in caught} == {__file__}

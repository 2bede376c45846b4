"""`fit` with augmented images, weight decay and smoothed labels."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from spikemnist.data import RandomAffine
from spikemnist.models import LeakyConvNet
from spikemnist.training import SmoothedCrossEntropy, cross_entropy
from spikemnist.training.optim import OPTIMIZERS, make_optimizer
from tests.training.small_runs import (
    RANDOM,
    digits,
    fit_with,
    new_classifier,
    new_network,
    same,
    weights,
)


class Spy:
    """An augmentation that keeps what it was given and what it made of it."""

    def __init__(self) -> None:
        self.given, self.made, self.devices = [], [], set()

    def __call__(self, images, *, generator=None):
        self.devices.add(generator.device.type)
        self.given.append(images.clone())
        self.made.append(RandomAffine()(images, generator=generator))
        return self.made[-1]


def trained(encoder=RANDOM, **options):
    classifier = new_classifier(encoder)
    return classifier, fit_with(classifier, digits(), epochs=2, batch_size=32, **options)


def test_training_images_alone_are_augmented_anew_in_each_epoch():
    spy, again = Spy(), Spy()
    trained(augment=spy, validation=0.2)
    trained(augment=again, validation=0.2)
    assert [len(images) for images in spy.given] == 2 * [32] * 5
    assert spy.devices == {"cpu"}
    assert all(map(torch.equal, spy.made, again.made))
    train, _ = digits().split(0.2, 0)
    expected = sorted(train.images.flatten(1).tolist())
    for epoch in (spy.given[:5], spy.given[5:]):
        assert sorted(torch.cat(epoch).flatten(1).tolist()) == expected
    assert not torch.equal(torch.cat(spy.made[:5]).sum(0), torch.cat(spy.made[5:]).sum(0))


def test_an_augmentation_that_changes_nothing_changes_nothing():
    """Its random numbers are no others': neither the order, nor the spikes, nor dropout."""
    still = RandomAffine(degrees=0, translate=0, scale=(1, 1), shear=0)
    plain, _ = trained()
    augmented, _ = trained(augment=still)
    assert same(weights(plain), weights(augmented))
    changed, _ = trained(augment=RandomAffine())
    assert not same(weights(plain), weights(changed))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_alone_decay(name):
    """At a gradient of zero nothing but the decay moves a parameter."""
    network = new_network(learn_beta=True, learn_threshold=True)
    before = weights(network)
    optimizer = make_optimizer(name, network, lr=0.1, weight_decay=0.5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for key, value in weights(network).items():
        assert torch.equal(value, before[key]) != key.endswith("weight")
    if name == "adamw":
        key = "network.0.linear.weight"
        torch.testing.assert_close(weights(network)[key], before[key] * (1 - 0.1 * 0.5))


def test_channels_of_neurons_do_not_decay():
    model = LeakyConvNet(
        "2C3-P2-3", (1, 6, 6), beta=[[0.5, 0.6], 0.7], learn_beta=True, batch_norm=True
    )
    optimizer = make_optimizer("adamw", model, lr=0.1, weight_decay=0.5)
    decaying, others = (group["params"] for group in optimizer.param_groups)
    linears = [
        m.weight for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    ]
    assert list(map(id, decaying)) == list(map(id, linears))
    assert len(decaying) + len(others) == len(list(model.parameters()))


@given(smoothing=st.floats(0, 0.99))
def test_smoothed_labels_are_a_mixture(smoothing):
    record, labels = new_network()(torch.rand(4, 6, 784)), torch.tensor([0, 1, 2, 3, 4, 9])
    uniform = -functional.log_softmax(record.scores, 1).mean()
    expected = (1 - smoothing) * cross_entropy(record, labels) + smoothing * uniform
    torch.testing.assert_close(SmoothedCrossEntropy(smoothing)(record, labels), expected)

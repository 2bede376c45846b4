"""What `fit` learns, from every kind of data that it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from spikemnist._seeds import derive_seed
from spikemnist.data import load_digits
from spikemnist.encoding import LatencyEncoder
from spikemnist.models import Classifier
from spikemnist.training import TrainConfig, TrainingWarning, evaluate, fit
from tests.training.small_runs import (
    DIRECT,
    Wrapped,
    digits,
    new_classifier,
    new_network,
    same,
    weights,
)

CONFIG = TrainConfig(epochs=1, batch_size=16, schedule="constant")


def test_learns_digits():
    """1,000 images and three epochs, judged on 1,000 that it has not seen."""
    train, test = load_digits()
    classifier = new_classifier(LatencyEncoder(num_steps=6), hidden=(60,), threshold=1.0)
    before = evaluate(classifier, test).accuracy
    config = TrainConfig(epochs=3, batch_size=50, lr=3e-3, schedule="constant")
    history = fit(classifier, train[:1000], config)
    losses = history.column("loss")
    assert losses == sorted(losses, reverse=True)
    assert history.column("accuracy")[-1] > 0.75
    assert before < 0.3
    assert evaluate(classifier, test).accuracy > 0.78


@pytest.mark.parametrize("readout", ["max_membrane", "spike_count", "first_spike"])
def test_the_loss_falls_with_every_readout(readout):
    history = fit(
        new_classifier(readout=readout), digits(), TrainConfig(epochs=4, batch_size=20, lr=5e-3)
    )
    assert history.column("loss")[-1] < 0.9 * history.column("loss")[0]


def trained(data):
    classifier = new_classifier(DIRECT)
    fit(classifier, data, replace(CONFIG, epochs=2))
    return weights(classifier)


class Epochs:
    """The batches of the dataset, read anew in each epoch; it does not say how long it is."""

    epoch = 0

    def __iter__(self):
        self.epoch += 1
        return digits(100).batches(16, seed=derive_seed(0, self.epoch, 1))


@pytest.fixture(scope="module")
def undisturbed():
    """Weights after two epochs of a dataset."""
    return trained(digits(100))


@pytest.mark.parametrize(
    "data",
    [
        (digits(100).images, digits(100).labels),
        (digits(100).images, digits(100).labels.to(torch.uint8)),
        (digits(100).images.float() / 255, digits(100).labels),
        # Rows of a Dataset of Hugging Face, in the format of torch.
        (digits(100).images.unsqueeze(1), digits(100).labels),
        Epochs(),
    ],
    ids=["pair", "bytes", "floats", "channel", "batches"],
)
def test_data_of_any_kind_give_the_same_bits(data, undisturbed):
    assert same(trained(data), undisturbed)


def test_float_images_of_a_loader_are_the_bytes_over_255():
    data = digits(100)
    dataset = TensorDataset(data.images.unsqueeze(1).float() / 255, data.labels)
    loader = DataLoader(dataset, batch_size=16)
    assert same(trained(loader), trained(list(data.batches(16))))


@pytest.mark.filterwarnings("ignore:training has moved the weights by")
def test_metrics_are_means_over_samples_not_batches():
    """Three batches of 3, 3 and 1, with a learning rate too small to change anything."""
    data = digits(7)
    classifier = new_classifier(DIRECT).double()
    history = fit(classifier, data, TrainConfig(epochs=1, batch_size=3, lr=1e-30))
    evaluation = evaluate(classifier, data)
    row = history.epochs[0]
    assert row.loss == pytest.approx(evaluation.loss, rel=1e-12)
    assert row.accuracy == pytest.approx(evaluation.accuracy, rel=1e-12)
    neurons = sum(n for name, n in evaluation.spikes_per_sample.items() if name != "input")
    assert row.spikes_per_sample == pytest.approx(neurons, rel=1e-12)


def test_a_generator_that_can_be_read_once():
    data = digits(32)
    fit(new_classifier(), (batch for batch in data.batches(16)), TrainConfig(epochs=1))
    with pytest.raises(ValueError, match=r"gave no batch in epoch 2: .* read once per epoch"):
        fit(new_classifier(), (batch for batch in data.batches(16)), TrainConfig(epochs=2))


def test_datasets_of_hugging_face():
    """In batches, as the how-to shows; the message for their rows names this way and the other."""

    def pairs(rows):
        return default_collate([(row["image"], row["label"]) for row in rows])

    data, config = digits(40), TrainConfig(epochs=1, batch_size=10)
    dataset = [{"image": image.unsqueeze(0), "label": label} for image, label in data]
    classifier, loader = new_classifier(DIRECT), DataLoader(dataset, 10, collate_fn=pairs)
    assert fit(classifier, loader, config).epochs[0].spikes_per_sample > 0
    assert evaluate(classifier, loader).confusion.equal(evaluate(classifier, data).confusion)
    message = r"got dict. Of a .* pass all rows, \(rows\['image'\], rows\['label'\]\) .* collate_fn"
    for batches in (dataset, DataLoader(dataset, batch_size=10)):
        with pytest.raises(TypeError, match=message):
            fit(classifier, batches, config)


def test_any_module_that_returns_a_record(undisturbed):
    classifier = Classifier(Wrapped(new_network()), DIRECT)
    fit(classifier, digits(100), replace(CONFIG, epochs=2))
    assert same(weights(classifier.network.inner), undisturbed)
    with pytest.raises(TypeError, match=r"truncate needs .* of Wrapped has no argument state"):
        fit(classifier, digits(20), TrainConfig(truncate=2))


def test_any_module_with_a_silent_layer():
    with pytest.warns(TrainingWarning, match="^hidden 1 did not fire in an epoch"):
        fit(Classifier(Wrapped(new_network(threshold=[50.0, 0.3])), DIRECT), digits(100), CONFIG)


def test_a_module_that_returns_no_record():
    classifier = Classifier(nn.Sequential(nn.Flatten(2), nn.Linear(784, 10)), DIRECT)
    for work in (fit, evaluate):
        with pytest.raises(TypeError, match=r"must return a spikemnist.models.Record.*got Tensor"):
            work(classifier, digits(20))


def test_frozen_parameters_stay():
    classifier = new_classifier(DIRECT)
    first, second = (layer.linear.weight for layer in classifier.network.layers)
    frozen, learned = first.requires_grad_(False).clone(), second.clone()
    fit(classifier, digits(40), TrainConfig(epochs=1))
    assert torch.equal(first, frozen)
    assert not torch.equal(second, learned)
    with pytest.raises(ValueError, match="nothing would be trained: set requires_grad=True of"):
        fit(classifier.requires_grad_(False), digits(40))


def test_neurons_can_learn_their_decay_and_threshold():
    classifier = new_classifier(learn_beta=True, learn_threshold=True)
    before = weights(classifier)
    fit(classifier, digits(100), TrainConfig(epochs=1, batch_size=16, lr=1e-2))
    after = weights(classifier)
    assert all(not torch.equal(after[n], before[n]) for n in before if n.endswith("linear.weight"))
    changed = [n for n in before if n.endswith(("beta", "threshold"))]
    assert len(changed) == 4
    assert all(not torch.equal(after[name], before[name]) for name in changed)

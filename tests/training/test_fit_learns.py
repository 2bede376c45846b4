"""What `fit` learns, from every kind of data that it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from spikemnist._seeds import derive_seed
from spikemnist.data import load_digits
from spikemnist.data.augmentation import AUGMENTATIONS
from spikemnist.encoding import DirectEncoder, LatencyEncoder
from spikemnist.models import Classifier
from spikemnist.training import TrainConfig, TrainingWarning, evaluate, fit
from spikemnist.training.losses import LOSSES
from tests.training.small_runs import digits, fit_with, new_classifier, new_network, same, weights

ENCODER = DirectEncoder(num_steps=4)
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


def trained(data, *, epochs=1):
    classifier = new_classifier(ENCODER)
    fit(classifier, data, replace(CONFIG, epochs=epochs))
    return weights(classifier)


def test_a_pair_of_tensors_is_the_dataset():
    data = digits(100)
    pair = (data.images, data.labels)
    assert same(trained(pair, epochs=2), trained(data, epochs=2))
    assert same(trained((data.images, data.labels.to(torch.uint8))), trained(data))


def test_float_images_are_the_bytes_over_255():
    data = digits(100)
    pair = (data.images.float() / 255, data.labels)
    assert same(trained(pair), trained(data))
    loader = DataLoader(TensorDataset(pair[0].unsqueeze(1), data.labels), batch_size=16)
    assert same(trained(loader), trained(list(data.batches(16))))


def test_batches_in_the_order_of_the_dataset_give_its_bits():
    data = digits(100)
    batches = [list(data.batches(16, seed=derive_seed(0, epoch, 1))) for epoch in (1, 2)]
    assert same(trained(batches[0]), trained(data))

    class Epochs:
        """Read anew in each epoch, and it does not say how long it is."""

        def __init__(self):
            self.epoch = -1

        def __iter__(self):
            self.epoch += 1
            return iter(batches[self.epoch])

    assert same(trained(Epochs(), epochs=2), trained(data, epochs=2))


@pytest.mark.filterwarnings("ignore:training has moved the weights by")
def test_metrics_are_means_over_samples_not_batches():
    """Three batches of 3, 3 and 1, with a learning rate too small to change anything."""
    data = digits(7)
    classifier = new_classifier(ENCODER).double()
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


IMAGES, LABELS = digits(20).images, digits(20).labels
WRONG_KINDS = {
    "a name": ("digits", TypeError, "(train|data) must be a dataset .*; got str"),
    "one tensor": (IMAGES, TypeError, "(train|data) must be a dataset .*; got Tensor"),
    "a torch dataset": (TensorDataset(IMAGES, LABELS), TypeError, "got TensorDataset"),
    "arrays": (
        (IMAGES.numpy(), LABELS.numpy()),
        TypeError,
        "images must be .*; got a ndarray; .*from_numpy",
    ),
    "batches of names": ([(IMAGES, ["one"] * 20)], TypeError, "a pair of tensors.*Tensor, list"),
    "batches of three": (
        [(IMAGES, LABELS, 1)],
        TypeError,
        "a pair .*got Tensor, Tensor, int",
    ),
    "batches of images": ([IMAGES[:2]], TypeError, "a pair of tensors.*got Tensor"),
}
WRONG_CONTENT = {
    "float labels in a batch": (
        [(IMAGES, LABELS.float())],
        r"labels must be int64 of shape \[20\], one for each sample; got torch.float32",
    ),
    "one-hot labels": ([(IMAGES, torch.eye(10)[LABELS])], r"labels must be int64 .* \[20, 10\]"),
    "labels too high": ((IMAGES, LABELS + 3), r"must lie in 0..9 .* 10 classes; got 3..12"),
    "too few labels": ((IMAGES, LABELS[:5]), "20 images but 5 labels"),
    "floats up to 255": ((IMAGES.float(), LABELS), r"must lie in \[0, 1\]; got .*255"),
    "NaN": ((IMAGES / 0, LABELS), r"must lie in \[0, 1\]"),
    "half of the rows": ((IMAGES[:, :14], LABELS), r"784 values .* got shape \(4, .*, 14, 28\)"),
}


@pytest.mark.parametrize("what", WRONG_KINDS)
def test_data_of_the_wrong_kind(what):
    data, error, message = WRONG_KINDS[what]
    with pytest.raises(error, match=message):
        fit(new_classifier(ENCODER), data)
    with pytest.raises(error, match=message):
        evaluate(new_classifier(ENCODER), data)


@pytest.mark.parametrize("what", WRONG_CONTENT)
def test_data_with_the_wrong_content(what):
    data, message = WRONG_CONTENT[what]
    with pytest.raises(ValueError, match=message):
        fit(new_classifier(ENCODER), data, TrainConfig(lr=1e-9))
    with pytest.raises(ValueError, match=message):
        evaluate(new_classifier(ENCODER), data)


@pytest.mark.parametrize("nothing", [[], digits(20)[:0]])
def test_no_batch_at_all(nothing):
    with pytest.raises(ValueError, match="gave no batch in epoch 1"):
        fit(new_classifier(), nothing)
    with pytest.raises(ValueError, match="the data to evaluate are empty"):
        evaluate(new_classifier(), nothing)


class Rows:
    """What a Dataset of Hugging Face makes of images and labels, in the format of torch."""

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        images, labels = self.data.images[index], self.data.labels[index]
        return {"image": images.unsqueeze(-3), "label": labels}

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))


def test_datasets_of_hugging_face():
    """By the two ways that the how-to shows; the message for their rows names them."""

    def pairs(rows):
        return default_collate([(row["image"], row["label"]) for row in rows])

    data, dataset, config = digits(40), Rows(digits(40)), TrainConfig(epochs=1, batch_size=10)
    rows = dataset[:]
    results = []
    for train in ((rows["image"], rows["label"]), data):
        classifier = new_classifier(ENCODER)
        fit(classifier, train, config)
        results.append(weights(classifier))
    assert same(*results)
    classifier = new_classifier(ENCODER)
    history = fit(classifier, DataLoader(dataset, batch_size=10, collate_fn=pairs), config)
    assert history.epochs[0].spikes_per_sample > 0
    expected = evaluate(classifier, data).confusion
    assert evaluate(
        classifier, DataLoader(dataset, batch_size=10, collate_fn=pairs)
    ).confusion.equal(expected)
    message = r"got dict. Of a .* pass all rows, \(rows\['image'\], rows\['label'\]\) .* collate_fn"
    for batches in (dataset, DataLoader(dataset, batch_size=10)):
        with pytest.raises(TypeError, match=message):
            fit(classifier, batches, config)


WRONG_SETTINGS = [
    ({"epochs": 0}, "epochs must be an integer >= 1; got 0"),
    ({"batch_size": 0}, "batch_size must be an integer >= 1; got 0"),
    ({"truncate": 0}, "truncate must be an integer >= 1; got 0"),
    ({"patience": 0, "validation": 0.5}, "patience must be an integer >= 1; got 0"),
    ({"patience": 1}, "patience needs validation data: pass validation=0.1"),
    ({"clip_norm": 0.0}, "clip_norm must be positive; got 0.0"),
    ({"seed": -1}, "seed must be an integer from 0"),
    ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1; got 1.0"),
    ({"spike_penalty": -1.0}, "spike_penalty must be at least 0 and finite; got -1.0"),
    (
        {"label_smoothing": 0.1, "loss": "spike_time_mse"},
        "label_smoothing needs the loss 'cross_entropy'; got 'spike_time_mse'",
    ),
    ({"loss": "mse"}, f"loss must be one of {', '.join(LOSSES)}, or a function .* got 'mse'"),
    (
        {"augment": ("affine", "blur")},
        f"augment must be a tuple of names among {', '.join(AUGMENTATIONS)}, or an .*, 'blur'",
    ),
    ({"lr": 0.0}, "lr must be positive and finite; got 0.0"),
    ({"optimizer": "adm"}, "optimizer must be one of adam, adamw, sgd, or a factory .* got 'adm'"),
    (
        {"schedule": "cos"},
        "schedule must be one of constant, cosine, one_cycle, or a .* got 'cos'",
    ),
    ({"validation": 1.5}, "fraction must lie between 0 and 1; got 1.5"),
    ({"device": "gpu"}, "device 'gpu' is not available"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG_SETTINGS)
def test_settings_out_of_range(settings, message):
    classifier = new_classifier()
    before = weights(classifier)
    with pytest.raises(ValueError, match=message):
        fit_with(classifier, digits(20), **{"epochs": 1, **settings})
    assert same(weights(classifier), before)


class Wrapped(nn.Module):
    """Another module around ours."""

    def __init__(self, **options):
        super().__init__()
        self.inner = new_network(**options)

    def forward(self, spikes):
        return self.inner(spikes)


def test_any_module_that_returns_a_record():
    classifier = Classifier(Wrapped(), ENCODER)
    fit(classifier, digits(100), CONFIG)
    assert same(weights(classifier.network.inner), trained(digits(100)))
    with pytest.raises(TypeError, match=r"truncate needs .* of Wrapped has no argument state"):
        fit(classifier, digits(20), TrainConfig(truncate=2))


def test_any_module_with_a_silent_layer():
    with pytest.warns(TrainingWarning, match="^hidden 1 did not fire in an epoch"):
        fit(Classifier(Wrapped(threshold=[50.0, 0.3]), ENCODER), digits(100), CONFIG)


def test_a_module_that_returns_no_record():
    classifier = Classifier(nn.Sequential(nn.Flatten(2), nn.Linear(784, 10)), ENCODER)
    for work in (fit, evaluate):
        with pytest.raises(TypeError, match=r"must return a spikemnist.models.Record.*got Tensor"):
            work(classifier, digits(20))


def test_frozen_parameters_stay():
    classifier = new_classifier(ENCODER)
    first, second = (layer.linear.weight for layer in classifier.network.layers)
    frozen, learned = first.requires_grad_(False).clone(), second.clone()
    fit(classifier, digits(40), TrainConfig(epochs=1))
    assert torch.equal(first, frozen)
    assert not torch.equal(second, learned)
    with pytest.raises(ValueError, match="empty parameter list"):
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

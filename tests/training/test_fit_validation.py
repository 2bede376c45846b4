"""The best epoch is chosen on a share of the training data, and patience ends a run."""

from __future__ import annotations

import pytest
import torch

from spikemnist.data import ImageDataset
from spikemnist.training import TrainConfig, cross_entropy, evaluate, fit
from tests.training.small_runs import (
    DIRECT,
    Watched,
    digits,
    fit_with,
    interrupt_after,
    new_classifier,
    same,
    weights,
)


def numbered(samples=100):
    """Images of two by two whose first two pixels tell which sample they are."""
    numbers = torch.arange(samples)
    images = torch.stack([numbers // 256, numbers % 256, numbers * 0 + 255, numbers * 0 + 255], 1)
    return ImageDataset(images.view(-1, 2, 2).to(torch.uint8), numbers % 10)


def watched(train, **settings):
    """Return which samples a run sees for training, and which for judging."""
    trained, judged = [], []

    def look(images):
        seen = trained if torch.is_grad_enabled() else judged
        seen.extend((images[:, 0, 0].int() * 256 + images[:, 0, 1].int()).tolist())

    classifier = new_classifier(Watched(look), in_features=4, threshold=0.01)
    fit_with(classifier, train, **{"epochs": 1, "batch_size": 8, **settings})
    return trained, judged


@pytest.mark.parametrize("seed", [0, 5])
def test_a_share_of_the_training_data_is_held_out(seed):
    data = numbered()
    trained, judged = map(set, watched(data, validation=0.2, seed=seed, epochs=2))
    assert len(judged) == 20
    assert sorted(trained | judged) == list(range(100))
    assert not trained & judged
    assert sorted(number % 10 for number in judged) == sorted(list(range(10)) * 2)
    assert torch.equal(data[sorted(judged)].images, data.split(0.2, seed)[1].images)


def test_samples_without_validation():
    trained, judged = watched(numbered())
    assert sorted(trained) == list(range(100))
    assert judged == []


def test_validation_data_that_can_be_read_once():
    classifier, data = new_classifier(), digits(100)
    config = TrainConfig(epochs=1, batch_size=20)
    history = fit(classifier, data[:60], config, validation=iter(data[60:].batches(7)))
    assert history.epochs[-1].validation_accuracy is not None


@pytest.mark.parametrize("kind", ["dataset", "tensors", "batches"])
def test_validation_data_may_be_given(kind):
    data, held_out = numbered()[:60], numbered()[60:]
    given = {
        "dataset": held_out,
        "tensors": (held_out.images, held_out.labels),
        "batches": list(held_out.batches(7)),
    }[kind]
    trained, judged = watched(data, validation=given)
    assert sorted(trained) == list(range(60))
    assert judged == [*range(60, 100)]


def test_validation_is_an_evaluation_and_changes_nothing():
    train, held_out = digits(80), digits(120)[80:]
    one, other = (new_classifier(DIRECT, dropout=0.3) for _ in range(2))
    config = TrainConfig(epochs=1, batch_size=16)
    fit(one, train, config)
    history = fit(other, train, config, validation=held_out)
    assert same(weights(one), weights(other))
    evaluation = evaluate(other, held_out, batch_size=16)
    assert history.epochs[0].validation_loss == evaluation.loss
    assert history.epochs[0].validation_accuracy == evaluation.accuracy


class Scripted:
    """A loss whose values on the validation set are given."""

    def __init__(self, *values):
        self.values = list(values)

    def __call__(self, record, labels):
        loss = cross_entropy(record, labels)
        return loss if torch.is_grad_enabled() else loss * 0 + self.values.pop(0)


def scripted(*values, **settings):
    """A run with these validation losses; what its epochs ended with."""
    classifier, states = new_classifier(DIRECT), []
    history = fit_with(
        classifier,
        digits(60),
        loss=Scripted(*values),
        validation=0.3,
        callbacks=[lambda history, classifier: states.append(weights(classifier))],
        **{"epochs": len(values), "lr": 1e-3, **settings},
    )
    return history, states, classifier


@pytest.mark.parametrize(
    ("losses", "best"),
    [((3, 2, 1), 3), ((1, 2, 3), 1), ((3, 1, 2, 2), 2), ((2, 2, 2), 1), ((4, 1, 3, 1), 2)],
)
def test_the_network_ends_with_the_weights_of_its_best_epoch(losses, best):
    history, states, classifier = scripted(*losses)
    assert history.column("validation_loss") == list(losses)
    assert history.best_epoch == best
    assert same(weights(classifier), states[best - 1])
    assert all(not same(states[0], other) for other in states[1:])
    assert not history.stopped_early


@pytest.mark.parametrize(
    ("losses", "patience", "epochs"),
    [
        ((1, 2, 3, 4), 1, 2),
        ((1, 2, 3, 4), 2, 3),
        ((3, 2, 3, 1, 2, 3, 0), 2, 6),
        ((2, 2, 2, 2), 2, 3),
        ((4, 3, 2, 1), 1, 4),
        ((1, 2, 3), 5, 3),
    ],
)
def test_patience_ends_the_run(losses, patience, epochs):
    history, states, classifier = scripted(*losses, patience=patience)
    assert len(history) == len(states) == epochs
    assert history.stopped_early == (epochs < len(losses))
    assert same(weights(classifier), states[history.best_epoch - 1])


def test_last_weights_without_validation():
    states, classifier = [], new_classifier(DIRECT)
    keep = lambda history, classifier: states.append(weights(classifier))  # noqa: E731
    fit(classifier, digits(60), TrainConfig(epochs=3), callbacks=[keep])
    assert same(weights(classifier), states[-1])


def test_patience_survives_a_resume(tmp_path):
    losses = (1.0, 2.0, 3.0, 0.5)
    reference, _, classifier = scripted(*losses, patience=2)
    settings = {"epochs": 4, "patience": 2, "run": tmp_path}
    settings |= {"validation": 0.3, "lr": 1e-3}
    stopped, resumed, again = (new_classifier(DIRECT) for _ in range(3))
    fit_with(
        stopped, digits(60), loss=Scripted(1.0, 2.0), callbacks=[interrupt_after(2)], **settings
    )
    history = fit_with(resumed, digits(60), loss=Scripted(3.0), resume=True, **settings)
    assert len(history) == 3
    assert history.stopped_early
    assert history.to_csv() == reference.to_csv()
    assert same(weights(resumed), weights(classifier))
    # A finished run computes no loss.
    history = fit_with(again, digits(60), loss=Scripted(), resume=True, **settings)
    assert history.stopped_early
    assert history.to_csv() == reference.to_csv()
    assert same(weights(again), weights(classifier))

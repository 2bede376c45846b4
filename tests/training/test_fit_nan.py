"""A loss or a weight that is no number stops the run, says why, and spoils nothing saved."""

from __future__ import annotations

import pytest
import torch

from spikemnist.models import Classifier
from spikemnist.training import TrainConfig, cross_entropy, fit
from spikemnist.training.checkpoint import load_checkpoint
from tests.training.small_runs import DIRECT, digits, fit_with, new_classifier, same, weights


class Spoiling:
    """An encoder whose ``at``-th batch holds ``value`` in one place."""

    num_steps = 3

    def __init__(self, at, value=float("nan")):
        self.at = at
        self.value = value
        self.calls = 0

    def __call__(self, images, *, generator=None):
        self.calls += 1
        spikes = DIRECT(images).clone()
        if self.calls == self.at:
            spikes[1, 0, 5, 5] = self.value
        return spikes


@pytest.mark.parametrize(
    ("hidden", "truncate", "value"),
    [((), None, float("inf")), ((16,), 2, float("nan")), ((16, 12), None, float("nan"))],
)
def test_an_encoder_that_returns_no_numbers(tmp_path, hidden, truncate, value):
    """Behind a hidden layer the loss stays finite, since a membrane of NaN never fires."""
    options = {"hidden": hidden, "threshold": 0.2}
    classifier = new_classifier(Spoiling(5, value), **options)
    config = TrainConfig(batch_size=20, epochs=2, truncate=truncate)
    message = (
        r"the (loss|gradient) became (nan|inf) in epoch 2, batch 2. Likely cause: the encoder "
        r"returned values that are not finite. The last checkpoint, if any, is kept"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit(classifier, digits(60), config, run=tmp_path)
    assert all(bool(p.isfinite().all()) for p in classifier.parameters())
    assert len(load_checkpoint(tmp_path / "checkpoint.pt")["history"]) == 1
    # The run goes on from there when the fault is gone, to the bits of one that never had it.
    undisturbed = new_classifier(Spoiling(0), **options)
    fit(undisturbed, digits(60), config)
    resumed = Classifier(classifier.network, Spoiling(0))
    fit(resumed, digits(60), config, run=tmp_path, resume=True)
    assert same(weights(resumed), weights(undisturbed))


def test_the_bad_batch_does_not_touch_the_weights():
    batches = list(digits(60).batches(20))
    classifier, other = new_classifier(Spoiling(3)), new_classifier(Spoiling(0))
    config = TrainConfig(optimizer="sgd", epochs=1, schedule="constant")
    with pytest.raises(FloatingPointError, match="epoch 1, batch 3"):
        fit(classifier, batches, config)
    fit(other, batches[:2], config)
    assert same(weights(classifier), weights(other))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_absurd_learning_rate(tmp_path, optimizer):
    folder = tmp_path / "run"
    config = TrainConfig(optimizer=optimizer, lr=3e38, batch_size=20, schedule="constant")
    with pytest.raises(FloatingPointError, match=r"learning rate \(now 3e\+38\).* too high") as e:
        fit(new_classifier(DIRECT), digits(200), config, run=folder)
    assert "epoch 1" in str(e.value)
    assert not folder.exists()


def infinite_gradient(record, labels):
    """Finite, and its gradient is NaN: the square root's at zero times zero."""
    return cross_entropy(record, labels) + (record.scores * 0).sqrt().sum()


def divides(by_zero):
    """A loss of NaN or infinity."""
    return lambda record, labels: cross_entropy(record, labels) + by_zero / torch.zeros(())


@pytest.mark.parametrize(
    ("loss", "clip_norm", "became"),
    [
        (infinite_gradient, None, "gradient became nan"),
        (infinite_gradient, 1.0, "gradient became nan"),
        (divides(0.0), None, "loss became nan"),
        (divides(1.0), None, "loss became inf"),
    ],
)
def test_a_loss_of_no_number_does_not_reach_the_weights(loss, clip_norm, became):
    classifier = new_classifier(DIRECT)
    before = weights(classifier)
    message = (
        f"the {became} in epoch 1, batch 1. Likely cause: the scores are too large for the loss, "
        "or the loss or its gradient divides by zero; .*check the loss. The last"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit(classifier, digits(40), TrainConfig(loss=loss, clip_norm=clip_norm))
    assert same(weights(classifier), before)


class Overshooting(torch.optim.SGD):
    """Its ``at``-th step throws a weight out of the range of numbers."""

    at = 2

    def step(self, closure=None):
        super().step(closure)
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps == self.at:
            self.param_groups[0]["params"][0].data[0, 0] = float("inf")


OVERSHOOTING = TrainConfig(optimizer=Overshooting, lr=0.01, batch_size=10, schedule="constant")


def test_weights_that_are_lost_in_the_middle_of_an_epoch():
    message = (
        r"the (loss|gradient) became nan in epoch 1, batch 3. Likely cause: the parameter "
        r"network.0.linear.weight is not finite, so the learning rate \(now 0.01\) is too "
        r"high; lower it"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit(new_classifier(DIRECT), digits(40), OVERSHOOTING)


def test_weights_that_are_lost_in_the_last_step_are_not_saved(tmp_path, monkeypatch):
    """No later batch shows them, so nothing but a look at the weights tells."""
    monkeypatch.setattr(Overshooting, "at", 4)
    message = (
        r"parameter network.0.linear.weight is no longer finite at the end of epoch 2. Likely "
        r"cause: the learning rate \(now 0.01\) is too high; lower it"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit(new_classifier(DIRECT), digits(20), OVERSHOOTING, run=tmp_path)
    checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
    assert len(checkpoint["history"]) == 1
    assert all(bool(value.isfinite().all()) for value in checkpoint["model"].values())


def test_a_validation_loss_that_is_no_number():
    def loss(record, labels):
        value = cross_entropy(record, labels)
        return value if torch.is_grad_enabled() else value * float("nan")

    with pytest.raises(FloatingPointError, match="validation loss became nan after epoch 1"):
        fit_with(new_classifier(DIRECT), digits(40), loss=loss, validation=0.5)

"""What `fit` warns of: silent and saturated layers, poor validation, busy processors."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
import warnings
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.encoding import DirectEncoder, LatencyEncoder
from spikemnist.training import (
    Regularized,
    SpikeTimeCrossEntropy,
    TargetRate,
    TrainConfig,
    TrainingWarning,
    cross_entropy,
    fit,
    loop,
    waiting,
)
from spikemnist.training.metrics import validation_findings
from spikemnist.training.waiting import waiting_findings
from tests.training.small_runs import DIRECT, digits, new_classifier, set_biases, weights

REMEDY = "diagnose(classifier, train), or train --diagnose, says why and what to try"
CONFIG = TrainConfig(epochs=1, lr=0.01, batch_size=16)
SILENT = {"hidden": (16, 12), "threshold": [0.3, 1e6, 1e6]}
SILENT_OUTPUT = {"threshold": [0.3, 1e6]}


BUSY = "the processors are busy"


def messages(recwarn):
    """Return the warnings, of which a machine that has other work to do may add one."""
    assert all(warning.category is TrainingWarning for warning in recwarn)
    return [text for one in recwarn if BUSY not in (text := str(one.message))]


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


class Temperature(torch.nn.Module):
    """A loss with a parameter."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, record, labels):
        return torch.nn.functional.cross_entropy(record.scores * self.scale, labels)


GUESS = "is not below that of guessing, ln 10 = 2.3"


def scaled(record, labels):
    return 9 * cross_entropy(record, labels)


def in_a_sum(loss):
    return Regularized(loss, [TargetRate(0.1)])


@pytest.mark.parametrize("wrap", [lambda loss: loss, in_a_sum])
def test_loss_with_parameters(wrap, recwarn):
    loss = Temperature()
    fit(new_classifier(DIRECT), digits(160), replace(CONFIG, loss=wrap(loss)))
    assert loss.scale == 1
    assert [one.filename for one in recwarn] == [__file__]
    expected = "the loss has parameters, which fit does not train: put them into the network"
    assert messages(recwarn) == [expected]
    fit(new_classifier(DIRECT), digits(160), replace(CONFIG, loss=wrap(loss.requires_grad_(False))))
    assert len(messages(recwarn)) == 1


@pytest.mark.parametrize(
    ("encoder", "options", "brightness", "settings", "words"),
    [
        (DIRECT, {}, 1.0, {"lr": 10.0}, GUESS),
        (LatencyEncoder(8, threshold=0.5), {}, 0.3, {}, GUESS),
        (DIRECT, {"threshold": 1e6, "readout": "first_spike"}, 1.0, {}, "hidden 1 did not fire"),
        (DIRECT, {}, 1.0, {"lr": 1e-9, "label_smoothing": 0.1}, GUESS),
        (DIRECT, {}, 1.0, {"lr": 1e9, "epochs": 3}, GUESS),
        (DIRECT, {}, 1.0, {"lr": 1e-9, "loss": scaled}, "the accuracy at the end is that of guess"),
        (DIRECT, {}, 1.0, {"lr": 1e9, "loss": scaled}, "the loss rose from "),
        (DIRECT, {}, 1.0, {"lr": 1e9, "batch_size": 64}, "the loss rose from "),
    ],
    ids=[
        "high learning rate",
        "images below the threshold",
        "dead network",
        "low learning rate",
        "accuracy of a run that diverges",
        "own loss",
        "own loss that diverges",
        "short run that diverges",
    ],
)
def test_run_that_has_learned_nothing(encoder, options, brightness, settings, words, recwarn):
    data = digits(640)
    images, config = data.images.float() / 255 * brightness, replace(CONFIG, **settings)
    fit(new_classifier(encoder, **options), (images, data.labels), config)
    (message,) = messages(recwarn)
    assert words in message
    assert message.endswith((REMEDY, ": lower the learning rate"))


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 1e-9, "batch_size": 64},  # too short to have learned
        {"lr": 1e-9, "batch_size": 64, "loss": scaled},
        {},
        {"loss": scaled},
        {"loss": "spike_time_mse"},
        {"epochs": 4, "label_smoothing": 0.9},
        {"epochs": 4, "loss": SpikeTimeCrossEntropy(tau=100.0)},
    ],
)
def test_runs_that_learn_or_are_short(settings, recwarn):
    own = str(settings.get("loss", "")).lower().startswith("spike")
    options = {"readout": "first_spike" if own else "mean_membrane"}
    fit(new_classifier(DIRECT, **options), digits(640), replace(CONFIG, **settings))
    assert messages(recwarn) == []


@pytest.mark.parametrize("num_steps", [1, 4])
@pytest.mark.parametrize("train", [digits(33), [*digits(33).batches(16)]], ids=["data", "batches"])
def test_last_batch_of_one_image(num_steps, train):
    """Batch normalisation in training has no variance of one image: it is left out."""
    classifier = new_classifier(DirectEncoder(num_steps), batch_norm=True)
    assert len(fit(classifier, train, replace(CONFIG, epochs=2))) == 2
    counts = [value for name, value in weights(classifier).items() if "num_batches" in name]
    assert set(map(int, counts)) == {4}


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


@given(
    seconds=st.floats(0, 1e5), waited=st.floats(0, 1e5), more=st.floats(0, 1e5),
    threads=st.integers(1, 256),
)  # fmt: skip
def test_threads_that_wait_by_seconds_and_number(seconds, waited, more, threads):
    """Waiting longer never ends the warning; a short epoch and a single thread have none."""
    warns = lambda waited: any(waiting_findings(seconds, waited, threads))  # noqa: E731
    long = seconds > 2 and threads > 1
    assert (warns(0), warns(threads * seconds)) == (False, long)
    assert warns(waited) <= min(long, warns(waited + more))


@pytest.mark.parametrize(
    ("name", "value"), [("OMP_WAIT_POLICY", "PASSIVE"), ("GOMP_SPINCOUNT", "10000")]
)
def test_threads_that_sleep_hold_up_no_other(name, value, monkeypatch):
    (finding,) = waiting_findings(4.4, 6.8, 2)
    assert "OMP_WAIT_POLICY=passive" in finding
    monkeypatch.setenv(name, value)
    assert not [*waiting_findings(4.4, 6.8, 2)]


def test_busy_processors_are_named_once(monkeypatch, recwarn, threads):
    torch.set_num_threads(2)
    clock = itertools.count(step=3600)
    monkeypatch.setattr(waiting, "LONG_EPOCH", 0)
    monkeypatch.setattr(loop, "seconds_waited", lambda: next(clock))
    for seed in range(2):
        fit(new_classifier(DIRECT), digits(32), replace(CONFIG, epochs=3, seed=seed))
    assert [BUSY in str(warning.message) for warning in recwarn] == [True]
    assert {warning.filename for warning in recwarn} == {__file__}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the seconds")
def test_seconds_waited_beside_busy_processes():
    before = waiting.seconds_waited()
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(2 * os.cpu_count())]
    try:
        end = time.perf_counter() + 0.3
        while time.perf_counter() < end:
            pass
        assert waiting.seconds_waited() > before
    finally:
        for process in others:
            process.kill()
            process.wait()

"""What users do wrong, and the words that they read: settings, data, losses, and other calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from snntorch import functional as SF  # noqa: N812 - as snnTorch's users write it
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import TensorDataset
from torchvision import transforms

from spikemnist.data import RandomAffine, RandomErasing
from spikemnist.data.augmentation import AUGMENTATIONS
from spikemnist.models import Classifier, Record
from spikemnist.training import (
    L1Spikes,
    Recipe,
    Regularized,
    SmoothedCrossEntropy,
    SnnTorchLoss,
    SpikeTimeCrossEntropy,
    SpikeTimeMSE,
    TargetRate,
    TrainConfig,
    cross_entropy,
    evaluate,
    fit,
    state,
)
from spikemnist.training.losses import LOSSES
from tests.training.small_runs import DIRECT, digits, fit_with, new_classifier, same, weights

IMAGES, LABELS = digits(20).images, digits(20).labels
PARAMETERS = [torch.zeros(1, requires_grad=True)]
ROTATION = transforms.RandomRotation(20)
REFUSED = TypeError, ValueError


class Silent:
    """An object that cannot be called, as the callbacks of other trainers."""


def last_membrane(spikes: Tensor, membrane: Tensor) -> Tensor:
    """A readout that does not say that it takes any number of timesteps."""
    return membrane[-1]


LOSS = f"loss must be one of {', '.join(LOSSES)}, or a function of record and labels; got "
SCHEDULE = "schedule must be one of constant, cosine, .* lambda progress: 1 - progress; got "
AUGMENTATION = "an augmentation is a function of images and generator, such as RandomAffine.*; got "
NAMES = f"augment must be a tuple of names among {', '.join(AUGMENTATIONS)}, or an .* got "
CALLBACKS = r"callbacks must be a list of functions .* \[csv_logger\('metrics.csv'\)\]; got "
VALIDATION = "validation must be a dataset"

SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"loss": nn.CrossEntropyLoss}, f"{LOSS}the class CrossEntropyLoss"),
    ({"loss": lambda record: 0}, LOSS),
    ({"loss": "mse"}, f"{LOSS}'mse'"),
    ({"label_smoothing": 1.0}, "label_smoothing must be a number, at least 0 and below 1; got 1.0"),
    (
        {"label_smoothing": 0.1, "loss": "spike_time_mse"},
        "label_smoothing needs the loss 'cross_entropy'; got 'spike_time_mse'",
    ),
    ({"spike_penalty": -1.0}, "spike_penalty must be a number, at least 0 and finite; got -1.0"),
    ({"callbacks": lambda history, classifier: None}, CALLBACKS),
    ({"callbacks": [Silent()]}, CALLBACKS),
    ({"callbacks": [lambda history: None]}, CALLBACKS),
    ({"augment": ROTATION}, rf"{AUGMENTATION}RandomRotation.* torchvision, pass lambda"),
    ({"augment": transforms.Compose([ROTATION])}, f"(?s){AUGMENTATION}.*RandomRotation"),
    ({"augment": RandomAffine}, f"{AUGMENTATION}<class"),
    ({"augment": [RandomAffine(), RandomErasing()]}, r"Compose\(\[Rando.*\); got \[RandomAff"),
    ({"augment": "affine"}, f"{NAMES}'affine'"),
    ({"augment": ("affine", "blur")}, f"{NAMES}.*'blur'"),
    (
        {"augment": lambda images, generator: images[:3]},
        r"labels must be int64 of shape \[3\], .* shape \(20,\)",
    ),
    ({"optimizer": "adm"}, "optimizer must be one of adam, adamw, sgd, or a factory .* got 'adm'"),
    ({"optimizer": torch.optim.SGD(PARAMETERS)}, r"factory such as .*RMSprop.*; got SGD$"),
    ({"optimizer": lambda parameters, lr: None}, "a function that returns an optimiser; got NoneT"),
    (
        {"optimizer": torch.optim.Rprop, "weight_decay": 0.1},
        "weight_decay=0.1 does nothing with Rprop; remove it",
    ),
    ({"run": ""}, "run must be the path of a folder, '.' for the current one; got ''"),
    (
        {"truncate": 4, "classifier": partial(new_classifier, readout=last_membrane)},
        "truncate must be 5 or more, the timesteps, unless the readout has running = True; got 4",
    ),
    ({"schedule": "cos"}, "one of constant, cosine, one_cycle, or a .* got 'cos'"),
    ({"schedule": StepLR}, f"{SCHEDULE}the class StepLR"),
    ({"schedule": StepLR(torch.optim.SGD(PARAMETERS), 1)}, f"{SCHEDULE}<.*StepLR object"),
    ({"lr": "1e-3"}, "lr must be a number, above 0 and finite; got '1e-3'"),  # as YAML reads it
    ({"lr": 0.0}, "lr must be a number, above 0 and finite; got 0.0"),
    ({"clip_norm": 0.0}, "clip_norm must be a number, above 0; got 0.0"),
    ({"weight_decay": -1.0}, r"weight_decay must be a number, at least 0 and finite; got -1\.0"),
    ({"seed": 1.5}, "seed must be an integer in 0.*; got 1.5"),
    ({"seed": -1}, "seed must be an integer in 0.*; got -1"),
    ({"epochs": 0}, "epochs must be an integer >= 1; got 0"),
    ({"batch_size": 0}, "batch_size must be an integer >= 1; got 0"),
    ({"truncate": 0}, "truncate must be an integer >= 1; got 0"),
    ({"patience": 0, "validation": 0.5}, "patience must be an integer >= 1; got 0"),
    ({"patience": 1}, "patience needs validation data: pass validation=0.1"),
    ({"validation": 1.5}, "fraction must be a number, above 0 and below 1; got 1.5"),
    ({"validation": "digits"}, VALIDATION),
    ({"validation": IMAGES}, VALIDATION),
    (
        {"validation": 0.1, "train": [(IMAGES, LABELS)]},
        "validation=0.1 needs a dataset or a pair .* train is an iterable",
    ),
    ({"device": "gpu"}, "device 'gpu' is not available"),
    *(
        ({"initial_rate": rate}, "initial_rate must be a number, above 0 and below 1; got")
        for rate in (0, 1, math.nan, True)
    ),
]


@pytest.mark.parametrize(("settings", "message"), SETTINGS)
def test_settings(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Nothing changes and no folder is made."""
    settings = {**settings}
    classifier = settings.pop("classifier", new_classifier)()
    before = weights(classifier)
    settings = {"train": digits(20), "epochs": 1, "run": tmp_path / "run", **settings}
    with pytest.raises(REFUSED, match=message):
        fit_with(classifier, **settings)
    assert same(weights(classifier), before)
    assert not (tmp_path / "run").exists()


DATASET, PAIR = "(train|data) must be a dataset .*; got ", "a pair of tensors.*"
DATA: dict[str, tuple[Any, str]] = {
    "a name": ("digits", f"{DATASET}str"),
    "one tensor": (IMAGES, f"{DATASET}Tensor"),
    "a torch dataset": (TensorDataset(IMAGES, LABELS), "got TensorDataset"),
    "arrays": ((IMAGES.numpy(), LABELS.numpy()), "images must be .*; got a ndarray; .*from_numpy"),
    "batches of names": ([(IMAGES, ["one"] * 20)], f"{PAIR}Tensor, list"),
    "batches of three": ([(IMAGES, LABELS, 1)], "a pair .*got Tensor, Tensor, int"),
    "batches of images": ([IMAGES[:2]], f"{PAIR}got Tensor"),
    "batches of lists": ([([1], LABELS)], "or of recordings and labels; got list, Ten"),
    "float labels in a batch": (
        [(IMAGES, LABELS.float())],
        r"labels must be int64 of shape \[20\], one for each sample; got torch.float32",
    ),
    "one-hot labels": ([(IMAGES, torch.eye(10)[LABELS])], r"labels must be int64 .* \(20, 10\)"),
    "labels too high": ((IMAGES, LABELS + 3), r"must lie in 0..9 .* 10 classes; got 3..12"),
    "too few labels": ((IMAGES, LABELS[:5]), "20 images but 5 labels"),
    "floats up to 255": ((IMAGES.float(), LABELS), r"must lie in \[0, 1\]; got .*255"),
    "NaN": ((IMAGES / 0, LABELS), r"must lie in \[0, 1\]"),
    "half of the rows": ((IMAGES[:, :14], LABELS), r"784 values .* got shape \(3, .*, 14, 28\)"),
}


@pytest.mark.parametrize("name", DATA)
def test_data(name: str) -> None:
    data, message = DATA[name]
    for work in (fit, evaluate):
        with pytest.raises(REFUSED, match=message):
            work(new_classifier(DIRECT), data)


@pytest.mark.parametrize("nothing", [[], digits(20)[:0]])
def test_no_batch_at_all(nothing: Any) -> None:
    with pytest.raises(ValueError, match="gave no batch in epoch 1: pass a dataset, tensors, or"):
        fit(new_classifier(), nothing)
    with pytest.raises(ValueError, match="the data to evaluate are empty"):
        evaluate(new_classifier(), nothing)


@pytest.mark.parametrize("train", [digits(1), [*digits(3).batches(1)]], ids=["data", "batches"])
def test_batches_of_one_image(train: Any) -> None:
    message = "no batch in epoch 1: batch normalisation needs batches of two samples or more; raise"
    with pytest.raises(ValueError, match=message):
        fit(new_classifier(batch_norm=True), train)


MUST = "must return a scalar tensor, with its graph; got"
MISTAKES: dict[str, tuple[Any, str]] = {
    "a module of torch": (
        torch.nn.CrossEntropyLoss(),
        r"loss CrossEntropyLoss gets \(record, labels\): .*pass record.scores .*\(record.scores, l",
    ),
    "a loss of snnTorch": (
        SF.ce_rate_loss(),
        r"gets \(record, labels\): .* write loss=SnnTorchLoss\(snntorch.functional.ce_rate_loss",
    ),
    "a float": (lambda record, labels: cross_entropy(record, labels).item(), f"{MUST} float"),
    "none": (lambda record, labels: None, f"{MUST} NoneType"),
    "a loss of each sample": (lambda record, labels: record.scores.sum(1), rf"{MUST} \(20,\)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_loss_gets_and_returns(mistake: str) -> None:
    loss, message = MISTAKES[mistake]
    classifier = new_classifier()
    before = weights(classifier)
    for truncate in (None, 2):
        with pytest.raises(TypeError, match=message):
            fit(classifier, digits(20), TrainConfig(epochs=1, loss=loss, truncate=truncate))
    assert same(weights(classifier), before)
    with pytest.raises(TypeError, match=message):
        evaluate(classifier, digits(20), loss=loss)


def test_an_error_inside_a_loss_stays_what_it_is() -> None:
    def loss(record: Record, labels: Tensor) -> Tensor:
        raise TypeError("a mistake of its own")

    with pytest.raises(TypeError, match=r"^a mistake of its own$"):
        fit(new_classifier(), digits(20), TrainConfig(epochs=1, loss=loss))


def penalize(penalty: Any, layers: slice) -> None:
    """Call a penalty on a Record that has only some of its layers."""
    record = new_classifier()(IMAGES, record="all")
    penalty(replace(record, layers=record.layers[layers]))


def recipe(**fields: Any) -> Callable[[], Classifier]:
    return lambda: Recipe(**fields).classifier()


CLASSIFIER = new_classifier()
CONV = {"name": "conv", "layers": "4C5-11"}
VALUES = Recipe().to_json()
NOTHING = {}, [1], {**VALUES, "config": None}, {**VALUES, "config": {"speed": 1}}
CALLS: list[tuple[Callable[..., object], str]] = [
    (lambda: SpikeTimeCrossEntropy(math.nan), "tau must be a number, above 0 and finite"),
    (lambda: SpikeTimeMSE(on=-1), "on must be an integer >= 0; got -1"),
    (lambda: SpikeTimeMSE(tolerance=-1), "tolerance must be a number, at least 0"),
    (lambda: SmoothedCrossEntropy(1), "smoothing must be a number, at least 0 and below 1; got"),
    (lambda: SnnTorchLoss(SF.ce_rate_loss(), of="scores"), "of must be one of spikes, m"),
    (lambda: SnnTorchLoss(SF.ce_rate_loss), r"ce_rate_loss\(\), with the parentheses"),
    (lambda: Regularized(cross_entropy, []), "needs a penalty"),
    (lambda: L1Spikes(-1.0), "strength must be a number, at least 0 and finite; got -1.0"),
    (lambda: L1Spikes(1.0, layers="output"), "layers must be one of hidden, all; got 'output'"),
    (lambda: TargetRate(1.5), "rate must be a number, at least 0 and at most 1; got"),
    (lambda: penalize(L1Spikes(1.0), slice(0)), "call the model with record='all', or pass loss="),
    (lambda: penalize(TargetRate(0.1), slice(-1, None)), "no hidden layer: use layers='all'"),
    (partial(fit, CLASSIFIER, digits(20), {"epochs": 1}), r"TrainConfig\(.*5\)\); got dict"),
    (partial(fit, CLASSIFIER, digits(20), epochs=1), "epochs"),
    (partial(evaluate, CLASSIFIER, digits(9), loss="mse"), f"{LOSS}'mse'"),
    (partial(evaluate, CLASSIFIER, digits(9), batch_size=0), "batch_size must be an int.*; got 0"),
    (recipe(network=CONV, classes=tuple("abcdefghij")), "must end in 10, .*; got 11 in 4C5-11"),
    (
        recipe(network={"name": "mpl"}),
        "network must be one of mlp, conv; got 'mpl'; did you mean mlp",
    ),
    (recipe(network={"name": "mlp", "hiden": 3}), "no option 'hiden'; did you mean hid"),
    (recipe(encoder={"name": "morse"}), "unknown encoder 'morse'"),
    *((partial(Recipe.from_json, wrong), "no description of a run: .*Error") for wrong in NOTHING),
    (partial(Recipe.from_json, {**VALUES, "config": {"lr": -1}}), "lr must be a number, above 0"),
]


def test_initial_rate_without_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "START", "spikemnist.nothing.start_from_data")
    with pytest.raises(ImportError, match="nothing is missing in this installation"):
        fit(new_classifier(), digits(9), TrainConfig(initial_rate=0.1))


@pytest.mark.parametrize(("call", "message"), CALLS)
def test_calls(call: Callable[[], object], message: str) -> None:
    with pytest.raises(REFUSED, match=message):
        call()

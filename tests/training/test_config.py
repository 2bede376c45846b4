"""`TrainConfig`: its names stand for objects, and what is no configuration is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torchvision import transforms

from spikemnist.data import Compose, ElasticDeformation, RandomAffine, RandomErasing
from spikemnist.training import (
    L1Spikes,
    Regularized,
    SmoothedCrossEntropy,
    SpikeTimeCrossEntropy,
    SpikeTimeMSE,
    TrainConfig,
    cross_entropy,
    fit,
)
from tests.training.small_runs import digits, fit_with, new_classifier, same, weights

ALIKE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"loss": cross_entropy, "augment": None}),
    ({"loss": "spike_time_mse"}, {"loss": SpikeTimeMSE()}),
    ({"loss": "spike_time_cross_entropy"}, {"loss": SpikeTimeCrossEntropy()}),
    ({"label_smoothing": 0.2}, {"loss": SmoothedCrossEntropy(0.2)}),
    ({"spike_penalty": 0.001}, {"loss": Regularized(cross_entropy, [L1Spikes(0.001)])}),
    (
        {"label_smoothing": 0.2, "spike_penalty": 0.001},
        {"loss": Regularized(SmoothedCrossEntropy(0.2), [L1Spikes(0.001)])},
    ),
    (
        {"loss": SpikeTimeMSE(), "spike_penalty": 0.001},
        {"loss": Regularized(SpikeTimeMSE(), [L1Spikes(0.001)])},
    ),
    (
        {"augment": ("erase", "affine", "elastic")},
        {"augment": Compose([RandomErasing(), RandomAffine(), ElasticDeformation()])},
    ),
]


def trained(**settings: Any) -> list[object]:
    classifier = new_classifier()
    history = fit_with(classifier, digits(60), epochs=2, batch_size=20, **settings)
    return [weights(classifier), history.to_csv()]


@pytest.mark.parametrize(("names", "objects"), ALIKE)
def test_names_and_shares_give_the_bits_of_their_objects(
    names: dict[str, Any], objects: dict[str, Any]
) -> None:
    result = trained(**names)
    assert same(result, trained(**objects))
    assert same(result, trained()) == (names == {})


class Silent:
    """An object that cannot be called, as the callbacks of other trainers."""


PARAMETERS = [torch.zeros(1, requires_grad=True)]
ROTATION = transforms.RandomRotation(20)
LOSS = "loss must be one of cross_entropy, .* or a function of record and labels; got "
SCHEDULE = "schedule must be one of constant, cosine, .* lambda progress: 1 - progress; got "
AUGMENTATION = "an augmentation is a function of images and generator, such as RandomAffine.*; got "
CALLBACKS = r"callbacks must be a list of functions .* \[csv_logger\('metrics.csv'\)\]; got "


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": nn.CrossEntropyLoss}, f"{LOSS}<class '.*CrossEntropyLoss'>"),
        ({"loss": lambda record: 0}, LOSS),
        ({"callbacks": lambda history, classifier: None}, CALLBACKS),
        ({"callbacks": [Silent()]}, CALLBACKS),
        ({"callbacks": [Silent]}, CALLBACKS),
        ({"callbacks": [lambda history: None]}, CALLBACKS),
        ({"augment": ROTATION}, rf"{AUGMENTATION}RandomRotation.* torchvision, pass lambda"),
        ({"augment": transforms.Compose([ROTATION])}, f"(?s){AUGMENTATION}.*RandomRotation"),
        ({"augment": RandomAffine}, f"{AUGMENTATION}<class"),
        ({"augment": [RandomAffine(), RandomErasing()]}, r"Compose\(\[Rando.*\); got \[RandomAff"),
        ({"augment": "affine"}, "augment must be a tuple of names .* got 'affine'"),
        ({"augment": True}, "augment must be a tuple of names .* got True"),
        ({"optimizer": torch.optim.SGD(PARAMETERS)}, r"factory such as .*RMSprop.*; got SGD$"),
        ({"optimizer": None}, "optimizer must be one of adam, adamw, sgd"),
        ({"schedule": StepLR}, f"{SCHEDULE}<class '.*StepLR'>"),
        ({"schedule": StepLR(torch.optim.SGD(PARAMETERS), 1)}, f"{SCHEDULE}<.*StepLR object"),
        ({"lr": "1e-3"}, "lr must be positive and finite; got '1e-3'"),  # as YAML reads it
        ({"lr": None}, "lr must be positive and finite; got None"),
        ({"seed": 1.5}, "seed must be an integer from 0 .*; got 1.5"),
    ],
)
def test_plain_mistakes_are_refused_at_the_start(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fit_with(new_classifier(), digits(20), epochs=1, run=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_wrapped_transform_of_torchvision_augments() -> None:
    def rotate(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.stack([ROTATION(image[None])[0] for image in images])

    assert same(trained(augment=rotate), trained(augment=rotate))
    assert not same(trained(augment=rotate), trained())


@given(st.data())
def test_numbers_of_numpy_are_plain_ones(data: st.DataObject) -> None:
    """A checkpoint and a description hold no other."""
    epochs, lr = data.draw(st.integers(1, 100)), data.draw(st.floats(2**-20, 1, width=32))
    config = TrainConfig(epochs=np.int32(epochs), lr=np.float32(lr), ema=np.float64(0.5))
    assert config == TrainConfig(epochs=epochs, lr=lr, ema=0.5)
    assert {type(getattr(config, name)) for name in ("epochs", "lr", "ema")} == {int, float}


def test_what_is_no_configuration() -> None:
    settings: Any = {"epochs": 1}
    with pytest.raises(TypeError, match=r"TrainConfig\(epochs=5\)\); got dict"):
        fit(new_classifier(), digits(20), settings)
    with pytest.raises(TypeError, match="epochs"):
        fit(new_classifier(), digits(20), **settings)

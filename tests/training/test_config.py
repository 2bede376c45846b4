"""`TrainConfig`: its names stand for objects, and what is no configuration is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
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


ROTATION = transforms.RandomRotation(20)


def test_a_wrapped_transform_of_torchvision_augments() -> None:
    def rotate(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.stack([ROTATION(image[None])[0] for image in images])

    assert same(trained(augment=rotate), trained(augment=rotate))
    assert not same(trained(augment=rotate), trained())


@given(st.data())
def test_numbers_of_numpy_are_plain_ones(data: st.DataObject) -> None:
    """A checkpoint and a description hold no other."""
    epochs, lr = data.draw(st.integers(1, 100)), data.draw(st.floats(2**-20, 1, width=32))
    config = TrainConfig(
        epochs=np.int32(epochs), lr=np.float32(lr), label_smoothing=np.float64(0.5)
    )
    assert config == TrainConfig(epochs=epochs, lr=lr, label_smoothing=0.5)
    assert {type(getattr(config, name)) for name in ("epochs", "lr", "label_smoothing")} == {
        int,
        float,
    }

"""`TrainConfig`: its names stand for objects, and what is no configuration is refused."""

from __future__ import annotations

from typing import Any

import pytest

from spikemnist.data import Compose, ElasticDeformation, RandomAffine, RandomErasing
from spikemnist.training import (
    L1Spikes,
    Regularized,
    SmoothedCrossEntropy,
    SpikeTimeCrossEntropy,
    SpikeTimeMSE,
    cross_entropy,
    fit,
)
from tests.training.small_runs import digits, fit_with, new_classifier, same, weights

ALIKE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"loss": cross_entropy, "augment": None}),
    ({"loss": "spike_time_mse"}, {"loss": SpikeTimeMSE()}),
    ({"loss": "spike_time_cross_entropy"}, {"loss": SpikeTimeCrossEntropy()}),
    ({"label_smoothing": 0.2}, {"loss": SmoothedCrossEntropy(0.2)}),
    ({"spike_penalty": 0.01}, {"loss": Regularized(cross_entropy, [L1Spikes(0.01)])}),
    (
        {"label_smoothing": 0.2, "spike_penalty": 0.01},
        {"loss": Regularized(SmoothedCrossEntropy(0.2), [L1Spikes(0.01)])},
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


def test_what_is_no_configuration() -> None:
    settings: Any = {"epochs": 1}
    with pytest.raises(TypeError, match=r"TrainConfig\(epochs=5\)\); got dict"):
        fit(new_classifier(), digits(20), settings)
    with pytest.raises(TypeError, match="epochs"):
        fit(new_classifier(), digits(20), **settings)

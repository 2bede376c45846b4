"""What users do wrong with the doctor and the initial rates, and the words that they read."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
from torch import nn

from spikemnist.energy import summary
from spikemnist.models import Classifier
from spikemnist.training import diagnose, initialize
from tests.training.small_runs import digits, new_classifier

IMAGES = digits(20).images
CLASSIFIER, WITHOUT_LAYERS = new_classifier(), Classifier(nn.Linear(1, 1), "latency")


def start_with(network: nn.Module) -> None:
    initialize(Classifier(network, "latency"), IMAGES)


CALLS: list[tuple[Callable[..., object], str]] = [
    (partial(diagnose, WITHOUT_LAYERS, digits(4)), "diagnose needs a LeakyMLP"),
    (partial(summary, WITHOUT_LAYERS, digits(4)), "summary needs a LeakyMLP"),
    *(
        (
            partial(initialize, CLASSIFIER, IMAGES, rate=rate),
            "rate must be .* above 0 and below 1; g",
        )
        for rate in (0.0, 1.0, math.nan)
    ),
    (partial(initialize, CLASSIFIER.network, IMAGES), "initialize takes a Classifier"),
    (
        lambda: start_with(nn.Sequential(nn.Flatten(), nn.Linear(784, 10))),
        "initialize needs a LeakyMLP, .*; got Sequential",
    ),
]


@pytest.mark.parametrize(("call", "message"), CALLS)
def test_calls(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call()

"""What users do wrong with energies, the doctor and initial rates, and the words they read."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
from torch import nn

from spikemnist.energy import measure_energy, summary
from spikemnist.models import Classifier
from spikemnist.training import diagnose, initialize
from tests.energy.cases import ENERGY
from tests.training.small_runs import digits, new_classifier

DATA = digits(20)
RATES = 0.0, 1.0, math.nan
IMAGES = DATA.images
CLASSIFIER, WITHOUT_LAYERS = new_classifier(), Classifier(nn.Linear(1, 1), "latency")
FROZEN = new_classifier().requires_grad_(False)
PERCEPTRON = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "latency")
measure = partial(measure_energy, CLASSIFIER, DATA)
start = partial(initialize, CLASSIFIER, IMAGES)

OF_TYPES: list[tuple[Callable[..., object], str]] = [
    (partial(diagnose, WITHOUT_LAYERS, DATA), "diagnose needs a LeakyMLP"),
    (partial(summary, WITHOUT_LAYERS, DATA), "summary needs a LeakyMLP"),
    (
        partial(measure_energy, WITHOUT_LAYERS, DATA),
        r"or a network from accelerate\(\); got Linear",
    ),
    (partial(summary, CLASSIFIER, "8.png"), r"images must be a torch.Tensor .*; got a str"),
    (partial(initialize, CLASSIFIER, 5), r"images must be a torch.Tensor .*; got a int"),
    (partial(diagnose, CLASSIFIER, DATA, config=0), "config must be a TrainConfig; got int"),
    (partial(initialize, CLASSIFIER.network, IMAGES), "initialize takes a Classifier"),
    (partial(initialize, PERCEPTRON, IMAGES), "initialize needs a LeakyMLP, .*; got Sequential"),
]
OF_VALUES: list[tuple[Callable[..., object], str]] = [
    *((partial(start, rate=rate), "rate must be .* above 0 and below 1; g") for rate in RATES),
    (partial(measure, technology="7nm"), "technology must be one of 45nm-fp32, .*; got '7nm'"),
    (partial(measure, memory="2KB"), "memory must be one of 8KB, .*, or None; got '2KB'"),
    (
        partial(measure, ann_density=1.1),
        "ann_density must be a number, at least 0 and at most 1; got 1.1",
    ),
    (partial(diagnose, FROZEN, DATA), "nothing would be trained: set requires_grad=True of some"),
    (partial(measure_energy, CLASSIFIER, iter(())), "the data to evaluate are empty"),
    (partial(diagnose, CLASSIFIER, []), "train has no batch: pass a dataset"),
    (partial(ENERGY.table, "chip"), "part must be one of layers, energies, timesteps, exits"),
]
CALLS = [(TypeError, *row) for row in OF_TYPES] + [(ValueError, *row) for row in OF_VALUES]


@pytest.mark.parametrize(("error", "call", "message"), CALLS)
def test_calls(error: type[Exception], call: Callable[[], object], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

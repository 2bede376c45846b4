"""Data meet a classifier by the names of the classes, whatever the order of their labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from spikemnist.models import Classifier
from spikemnist.training import evaluate
from tests.training.small_runs import DIRECT, digits, fit_with, in_order, new_network, same, weights

NAMES = tuple("abcdefghij")
DATA = replace(digits(60), classes=NAMES)
SOME = DATA[(DATA.labels == 1) | (DATA.labels == 4)]
REVERSED = in_order(DATA, NAMES[::-1])

SAME: list[tuple[Any, Any]] = [
    (DATA, REVERSED),
    (SOME, in_order(SOME, ("e", "b"))),
    (SOME, in_order(SOME, ("e", "x", "b"))),  # no image is of x
    (DATA, replace(DATA, classes=())),
    (DATA, replace(DATA, classes=tuple("0123456789"))),  # as `load_images` names numbers
    (DATA[:9], DataLoader(DATA[:9], batch_size=9)),
]
OTHERS = [
    replace(DATA, classes=tuple("abcdefghix")),
    replace(DATA, classes=tuple("1234567890")),
    DataLoader(REVERSED, batch_size=9),
]


def new(classes: tuple[str, ...] = NAMES) -> Classifier:
    return Classifier(new_network(), DIRECT, classes)


@pytest.mark.parametrize(("data", "other"), SAME)
def test_evaluation_by_name(data: Any, other: Any) -> None:
    expected, actual = (evaluate(new(), x, progress=False) for x in (data, other))
    assert torch.equal(actual.confusion, expected.confusion)


@pytest.mark.parametrize("classes", [NAMES, ()])
@pytest.mark.parametrize(("train", "validation"), [(DATA, REVERSED), (REVERSED, DATA)])
def test_training_by_name(classes: tuple[str, ...], train: Any, validation: Any) -> None:
    """A classifier without names learns the labels of its training data."""
    names = classes or train.classes
    ordered = (in_order(train, names), in_order(validation, names))
    runs = [new(classes), new(classes)]
    histories = [
        fit_with(one, data, validation=held_out, epochs=1, progress=False)
        for one, (data, held_out) in zip(runs, [(train, validation), ordered], strict=True)
    ]
    assert same(weights(runs[0]), weights(runs[1]))
    assert histories[0].epochs == histories[1].epochs


@pytest.mark.parametrize("data", OTHERS)
@pytest.mark.parametrize(
    "call",
    [
        lambda data: evaluate(new(), data),
        lambda data: fit_with(new(), data, epochs=1),
        lambda data: fit_with(new(), DATA, validation=data, epochs=1),
        lambda data: fit_with(new(()), DATA, validation=data, epochs=1),
    ],
)
def test_other_names(call: Callable[[Any], Any], data: Any) -> None:
    text = r"the data must have classes of the classifier, \('a', .*; got \(.*: leave out the other"
    with pytest.raises(ValueError, match=text):
        call(data)

"""Event data through the same door as images: `fit` and `evaluate`."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from spikemnist.data import DropEvents
from spikemnist.encoding import Encoder, EventEncoder
from spikemnist.models import Classifier, LeakyConvNet, LeakyMLP
from spikemnist.training import TrainConfig, evaluate, fit
from tests.events.event_recordings import MovingBars
from tests.training.small_runs import Watched

ENCODER = EventEncoder(num_steps=8)
TRAIN, TEST = MovingBars(160).dataset(), MovingBars(400).dataset()[160:]


def mlp(encoder: Encoder = ENCODER) -> Classifier:
    torch.manual_seed(0)
    return Classifier(LeakyMLP((32,), in_features=2 * 8 * 8, out_features=4), encoder)


def conv() -> Classifier:
    torch.manual_seed(0)
    return Classifier(LeakyConvNet("6C3-P2-4", (2, 8, 8)), ENCODER)


@pytest.mark.parametrize("make", [mlp, conv])
def test_the_direction_of_a_synthetic_camera_is_learnt(make) -> None:
    """Any source of events plugs in, here one that makes its recordings on demand."""
    classifier = make()
    fit(classifier, TRAIN, TrainConfig(epochs=6, batch_size=16, lr=0.02))
    assert evaluate(classifier, TEST).accuracy > 0.9


def test_a_data_loader_trains_the_same() -> None:
    ours, theirs = mlp(), mlp()
    fit(ours, [*TRAIN.batches(16)], TrainConfig(epochs=1))
    loader = DataLoader(TRAIN, batch_size=16, collate_fn=TRAIN.collate, num_workers=1)
    fit(theirs, loader, TrainConfig(epochs=1))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_random_numbers_of_augmentation() -> None:
    seen: list[list[int]] = []

    encoder = Watched(lambda events: seen[-1].append(len(events.t)), ENCODER)
    data = TRAIN.transformed(DropEvents(0.3))
    for _ in range(2):
        seen.append([])
        fit(mlp(encoder), data, TrainConfig(epochs=2, batch_size=160))
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[0][1]

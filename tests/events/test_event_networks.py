"""Recordings where other tests have images: predictions, measures, operations of MPS."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spikemnist import Classifier, LeakyMLP
from spikemnist.data import EventBatch
from spikemnist.encoding import EventEncoder
from tests.events.event_recordings import MovingBars, random_events
from tests.models.test_mps_operators import train

BARS = MovingBars(40).dataset()
((RECORDINGS, LABELS),) = BARS.batches(len(BARS))


def new_classifier(**options: Any) -> Classifier:
    network = LeakyMLP((32,), in_features=2 * 8 * 8, out_features=4, seed=0, **options)
    return Classifier(network, EventEncoder(num_steps=8))


@pytest.mark.parametrize("data", [RECORDINGS, BARS], ids=["EventBatch", "EventDataset"])
def test_predictions_are_the_highest_scores(data: Any) -> None:
    classifier = new_classifier(input_dropout=0.5)
    classes = classifier.predict(data, batch_size=7)
    assert torch.equal(classes, classifier.eval()(RECORDINGS).scores.argmax(1))


def test_operations_of_mps() -> None:
    recordings = [random_events(20, seed, sensor=(4, 4)) for seed in range(3)]
    encoder, events = EventEncoder(num_steps=4), EventBatch.gather(recordings, (4, 4))
    train(LeakyMLP((8,), in_features=32, out_features=3, backend="reference"), encoder, events)

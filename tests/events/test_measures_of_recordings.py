"""Energy, initial rates and robustness where other tests have images."""

from __future__ import annotations

import pytest

from spikemnist import measure_energy
from spikemnist.training import initialize, measure_robustness
from tests.events.test_event_networks import BARS, LABELS, RECORDINGS, new_classifier


def test_energy() -> None:
    energy = measure_energy(new_classifier(), BARS)
    assert energy.total.acs > 0
    assert energy.total.macs == 0


def test_layers_fire_at_the_initial_rate() -> None:
    classifier = new_classifier()
    assert initialize(classifier, RECORDINGS, rate=0.2)["hidden 1"] == pytest.approx(0.2, abs=0.01)


def test_robustness_is_of_images() -> None:
    message = "on images in tensors; got a batch of EventBatch"
    with pytest.raises(TypeError, match=message):
        measure_robustness(new_classifier(), [(RECORDINGS, LABELS)])

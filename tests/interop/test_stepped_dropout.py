"""Dropout of a network that snnTorch steps: torch draws its masks.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import pytest
import torch

from spikemnist.models import accelerate
from tests.laws.dropout_networks import PLACES, Network, seeded
from tests.models.stepped_network import (
    assert_close,
    gradients,
    images,
    lively,
    same,
    stepped,
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("steps", [1, 7])
def test_seed_of_dropout_in_stepped_modules(place: Network, steps: int) -> None:
    network = lively(place()).double()
    model = accelerate(network, backend="snntorch")
    record = seeded(lambda: model(images(steps), record="all"))
    layers = seeded(lambda: stepped(network, images(steps)))
    for layer, (fired, membrane) in zip(record.layers, layers, strict=True):
        assert torch.equal(layer.spikes, fired)
        torch.testing.assert_close(layer.membrane, membrane, rtol=1e-12, atol=1e-12)
    assert_close(
        gradients(network, lambda: seeded(lambda: model(images(steps)).membrane.square().sum())),
        gradients(
            network, lambda: seeded(lambda: stepped(network, images(steps))[-1][1].square().sum())
        ),
    )
    assert same(seeded(lambda: model(images(steps))), record)
    assert not same(model(images(steps)), record)

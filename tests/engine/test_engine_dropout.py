"""Masks of dropout that the engine makes: those of plain torch.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist import _splitmix as splitmix
from spikemnist.engine import convolution, dropout
from spikemnist.engine.dropout import draw_bits
from spikemnist.kernels import spike_lists
from spikemnist.models import LeakyConvNet, accelerate
from spikemnist.ops.dropout import drop_out, keep
from tests.laws.dropout_networks import (
    EVERYWHERE,
    Network,
    P,
    one_module_in_two_places,
    seeded,
)
from tests.models.stepped_network import images, lively
from tests.pairs import Case, named, pairs
from tests.strategies import ODD_SIZES, SEEDS

PROBABILITIES = st.floats(1e-6, 1.0)


@given(SEEDS, st.integers(1, 9), st.integers(0, 4), st.sampled_from(ODD_SIZES), PROBABILITIES)
def test_the_kernel_makes_the_same_mask(
    seed: int, steps: int, batch: int, features: int, probability: float
) -> None:
    bits = seeded(lambda: draw_bits(steps, batch, features, probability), seed)
    drawn = seeded(lambda: splitmix.draw_seed(None), seed)
    expected = keep(drawn, steps * batch, features, probability).view(steps, batch, features)
    assert torch.equal(spike_lists.unpack(bits, features, np.bool_), expected)


IMAGES = pairs(
    shape=[(3, 2, 5, 7), (2, 64, 3, 3), (1, 1, 1, 1), (0, 2, 3, 3), (4, 70)],
    dtype=[torch.float32, torch.float64],
    channels_last=[False, True],
    probability=[0.0, 0.3, 1.0],
)


@pytest.mark.parametrize("case", IMAGES, ids=named)
def test_images_are_dropped_as_by_the_reference(case: Case) -> None:
    signal = torch.randn(case["shape"], dtype=case["dtype"])
    if case["channels_last"]:
        signal = signal.movedim(1, -1).contiguous().movedim(-1, 1)
    signal.requires_grad_()
    answers = []
    for drop in (dropout.drop_out, drop_out):
        dropped = seeded(lambda drop=drop: drop(signal, case["probability"]))
        assert dropped.dtype == case["dtype"]
        answers.append([dropped, *torch.autograd.grad(dropped.square().sum(), signal)])
    assert all(map(torch.equal, *answers))


FED: dict[str, Callable[[Tensor], Tensor]] = {
    "float64": lambda spikes: spikes.double(),
    "uint8": lambda spikes: spikes.to(torch.uint8),
    "counts": lambda spikes: (3 * spikes).to(torch.uint8),
    "constant": lambda spikes: spikes[:1].expand(spikes.shape),
}


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("fed", FED)
def test_the_engine_draws_the_masks_of_the_reference(place: Network, fed: str) -> None:
    network, spikes = lively(place()).double(), FED[fed](images(5))
    states = []

    def answer(backend: str) -> list[Tensor]:
        model = accelerate(network, backend=backend)
        record = model(spikes, record="all")
        states.append(torch.get_rng_state())
        assert record.backend == backend
        loss = record.scores.square().sum() + record.layers[0].membrane.square().mean()
        if place is one_module_in_two_places and fed != "constant":
            assert (record.layers[0].membrane == 0).any()  # of the current, too
        layers = [part for one in record.layers for part in (one.spikes, one.membrane)]
        return [*layers, *torch.autograd.grad(loss, list(network.parameters()))]

    answers = [
        seeded(lambda backend=backend: answer(backend)) for backend in ("reference", "event_driven")
    ]
    assert torch.equal(*states)
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("channels", [3, 33])
def test_training_a_convolution_on_either_backend(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many channels, the engine adds the weights of each spike that dropout keeps."""
    monkeypatch.setattr(convolution, "DENSE_FROM", 1.0)
    layers = f"4C5-P2-{channels}C3-P2-30-10"
    options = {"dropout": P, "batch_norm": True, "threshold": 0.2, "seed": 0}
    model = LeakyConvNet(layers, **options).double()
    random = torch.Generator().manual_seed(0)
    fed = (torch.rand(4, 3, 28, 28, generator=random) < 0.3).double()
    answers = []
    for backend in ("reference", "event_driven"):
        model.backend = backend
        model.zero_grad()
        record = seeded(lambda: model(fed, record="all"))
        record.scores.square().sum().backward()
        answers.append([record.scores, record.layers[2].spikes])
        answers[-1] += [parameter.grad for parameter in model.network[:2].parameters()]
    assert answers[0][1].any()
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)

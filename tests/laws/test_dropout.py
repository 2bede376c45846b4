"""Dropout by masks that are functions of a seed: its law, and the same masks whatever runs it.

Masks are drawn anew for each timestep, as in snnTorch's loop. Where snnTorch steps a network of
several timesteps, torch draws other masks, and there it is the law that agrees.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikemnist import _splitmix as splitmix
from spikemnist.models import accelerate
from spikemnist.ops.dropout import NUMBERS, bound_of, drop_out, keep
from tests.laws.dropout_networks import PLACES, Network, P, seeded
from tests.laws.runners import INTERPRETED, RUNNER, run
from tests.laws.stacks import stack
from tests.models.stepped_network import (
    BACKENDS,
    images,
    lively,
    neuron,
    stepped,
)
from tests.pairs import Case, named, pairs
from tests.strategies import SEEDS

pytestmark = INTERPRETED
PROBABILITIES = st.floats(1e-6, 1.0)


def words_one_by_one(seed: int, rows: int, features: int, probability: float) -> list[list[bool]]:
    """Return the mask by Python's integers."""
    quads = -(-features // 4)
    return [
        [
            splitmix.word(seed, row * quads + j // 4) >> 16 * (j % 4) & 0xFFFF
            > bound_of(probability)
            for j in range(features)
        ]
        for row in range(rows)
    ]


@given(SEEDS, st.integers(0, 5), st.integers(1, 20), PROBABILITIES)
def test_each_input_has_16_bits(seed: int, rows: int, features: int, probability: float) -> None:
    mask = keep(seed, rows, features, probability)
    assert mask.tolist() == words_one_by_one(seed, rows, features, probability)


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.9])
def test_the_share_of_kept_inputs(probability: float) -> None:
    count = 4_000_000
    kept = keep(5, 1000, count // 1000, probability).float()
    deviation = (probability * (1 - probability) / count) ** 0.5
    assert abs(float(kept.mean()) - (1 - probability)) < 5 * deviation + 0.5 / NUMBERS
    # Neighbours in a row, in a column and in a word do not depend on each other.
    centred = kept - kept.mean()
    for one, other in ((centred[:, 1:], centred[:, :-1]), (centred[1:], centred[:-1])):
        assert abs(float((one * other).mean())) < 5 * probability * (1 - probability) / 2000


def test_kept_inputs_are_scaled_and_so_is_their_gradient() -> None:
    signal = torch.rand(6, 2, 3, 4, requires_grad=True)
    out = drop_out(signal, 0.25)
    torch.testing.assert_close(out[out != 0], (signal / 0.75)[out != 0])
    (gradient,) = torch.autograd.grad(out.sum(), signal)
    torch.testing.assert_close(gradient, (out != 0).float() / 0.75)
    assert drop_out(signal, 0.0) is signal
    assert not drop_out(signal, 1.0).any()
    assert bound_of(1.0) == NUMBERS - 1
    assert bound_of(1e-9) == 0


def test_two_calls_draw_two_masks_and_a_seed_repeats_them() -> None:
    def twice() -> tuple[Tensor, Tensor]:
        return drop_out(torch.ones(9, 40), 0.5), drop_out(torch.ones(9, 40), 0.5)

    one, other = seeded(twice)
    assert not torch.equal(one, other)
    assert all(map(torch.equal, seeded(twice), (one, other)))


@RUNNER
@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_one_random_number_for_each_layer_with_dropout(runner: str, dropout: float) -> None:
    def states() -> tuple[Tensor, Tensor]:
        before = torch.get_rng_state()
        run(runner, stack((20, 65, 30, 3), dropout=dropout))
        return before, torch.get_rng_state()

    def twice() -> Tensor:
        for _ in range(2 * (dropout > 0)):
            splitmix.draw_seed(None)
        return torch.get_rng_state()

    before, after = seeded(states)
    assert torch.equal(after, seeded(twice))
    assert torch.equal(after, before) == (dropout == 0)


@RUNNER
def test_recorded_spikes_are_those_before_dropout(runner: str) -> None:
    dropped, full = (
        run(runner, stack((20, 65, 3), dropout=dropout, record="all")) for dropout in (0.5, 0.0)
    )
    assert torch.equal(dropped[0].spikes, full[0].spikes)
    assert torch.equal(dropped[0].counts, full[0].counts)
    assert not torch.equal(dropped[1].membrane, full[1].membrane)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", PLACES)
def test_none_in_evaluation(place: Network, backend: Any) -> None:
    network = lively(place()).double().eval()
    record = accelerate(network, backend=backend)(images(), record="all")
    for layer, (fired, _) in zip(record.layers, stepped(network, images()), strict=True):
        assert torch.equal(layer.spikes, fired)


def probe(*before: nn.Module) -> nn.Sequential:
    """Return neurons whose membranes are what dropout hands on of ones, each of its own."""
    linear = nn.Linear(50, 50, bias=False)
    nn.init.eye_(linear.weight)
    return nn.Sequential(*before, linear, neuron(beta=0.0, threshold=100.0))


def always_firing(weights: nn.Module) -> list[nn.Module]:
    """Return a stage whose neurons fire at each timestep, whatever the input."""
    nn.init.zeros_(weights.weight)
    nn.init.constant_(weights.bias, 2.0)
    return [weights, neuron(beta=0.0, threshold=1.0, reset_mechanism="none"), nn.Flatten()]


def firing() -> list[nn.Module]:
    return always_firing(nn.Linear(50, 50))


def firing_pixels() -> list[nn.Module]:
    return always_firing(nn.Conv2d(1, 1, 1))


PROBES: dict[str, tuple[Network, tuple[int, ...], float]] = {
    "of the input": (lambda: probe(nn.Dropout(P)), (50,), P),
    "of spikes": (lambda: probe(*firing(), nn.Dropout(P)), (50,), P),
    "behind a convolution": (lambda: probe(*firing_pixels(), nn.Dropout(P)), (1, 5, 10), P),
    "twice": (
        lambda: probe(*firing(), nn.Dropout(P), nn.Identity(), nn.Dropout(0.5)),
        (50,),
        1 - (1 - P) / 2,
    ),
}
PROBED = pairs(place=list(PROBES), constant=[False, True], backend=BACKENDS)


@pytest.mark.parametrize("case", PROBED, ids=named)
def test_the_law(case: Case) -> None:
    """What is kept is scaled up, and kept with its probability, anew for each entry."""
    make, shape, p = PROBES[case["place"]]
    ones = torch.ones(40, 20, *shape)
    spikes = ones[0].expand(ones.shape) if case["constant"] else ones
    model = accelerate(make(), backend=case["backend"])
    membrane = seeded(lambda: model(spikes).membrane, 0)
    values = membrane.unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / (1 - p)]))
    membrane = membrane.bool().double()
    deviation = math.sqrt(p * (1 - p))
    assert abs(membrane.mean() - (1 - p)) < 5 * deviation / math.sqrt(membrane.numel())
    for axis in range(3):  # neither timesteps nor samples nor neurons drop together
        means = membrane.mean(axis)
        expected = deviation / math.sqrt(membrane.shape[axis])
        assert means.std() == pytest.approx(expected, rel=0.15)
    assert model.eval()(spikes).membrane.unique().tolist() == [1.0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_in_place_changes_no_tensor_of_the_caller(inplace: bool, backend: Any) -> None:
    dropped = (nn.Dropout(0.5, inplace=inplace) for _ in range(2))
    network = probe(next(dropped), *firing(), next(dropped))
    inputs = images(5, 4, side=10).flatten(2)[..., :50]
    copy = inputs.clone()
    record = accelerate(network, backend=backend)(inputs, record="all")
    assert torch.equal(inputs, copy)
    assert record.input is inputs
    assert record.layers[0].spikes.unique().tolist() == [1.0]
    assert record.spike_counts[0].tolist() == [5 * 50] * 4
    assert record.membrane.unique().tolist() == [0.0, 2.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_passes_a_dropout_of_everything(backend: Any) -> None:
    for network in (probe(nn.Dropout(1.0)), probe(*firing(), nn.Dropout(1.0))):
        assert not accelerate(network, backend=backend)(torch.ones(5, 3, 50)).membrane.any()

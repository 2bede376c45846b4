"""Dropout by masks that are functions of a seed: its law, and the same masks whatever runs it.

Masks are drawn anew for each timestep, as in snnTorch's loop. Where snnTorch steps a network of
several timesteps, torch draws other masks, and there it is the law that agrees.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikemnist import _splitmix as splitmix
from spikemnist import ops
from spikemnist.engine import convolution, dropout
from spikemnist.engine.dropout import draw_bits
from spikemnist.kernels import spike_lists
from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate
from spikemnist.ops.dropout import NUMBERS, bound_of, drop_out, keep
from tests.laws.runners import INTERPRETED, RUNNER, run
from tests.laws.stacks import stack
from tests.models.stepped_network import (
    BACKENDS,
    assert_close,
    gradients,
    images,
    lively,
    neuron,
    same,
    stepped,
)
from tests.pairs import Case, named, pairs
from tests.strategies import ODD_SIZES, SEEDS

if TYPE_CHECKING:
    Network = Callable[[], nn.Module]

pytestmark = INTERPRETED
P = 0.3
PROBABILITIES = st.floats(1e-6, 1.0)


def seeded(run: Callable[[], Any], seed: int = 5) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return run()


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


@given(SEEDS, st.integers(1, 9), st.integers(0, 4), st.sampled_from(ODD_SIZES), PROBABILITIES)
def test_the_kernel_makes_the_same_mask(
    seed: int, steps: int, batch: int, features: int, probability: float
) -> None:
    bits = seeded(lambda: draw_bits(steps, batch, features, probability), seed)
    drawn = seeded(lambda: splitmix.draw_seed(None), seed)
    expected = keep(drawn, steps * batch, features, probability).view(steps, batch, features)
    assert torch.equal(spike_lists.unpack(bits, features, np.bool_), expected)


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


def leaky() -> nn.Module:
    return neuron(spike_grad=ops.ATan(), learn_beta=True)


def output(features: int = 9) -> list[nn.Module]:
    return [nn.Linear(features, 4), leaky()]


def on_the_input() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Dropout(P), nn.Linear(196, 9), leaky(), *output())


def between_layers() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 9), leaky(), nn.Dropout(P), *output())


def behind_a_convolution() -> nn.Sequential:
    """The convolution leaves nine neurons, as many as the others have."""
    before = nn.Conv2d(1, 1, 12), leaky(), nn.Dropout(P / 3), nn.Flatten()
    return nn.Sequential(*before, nn.Dropout(P), *output())


def on_the_current() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 9), nn.Dropout(P), leaky(), *output())


def of_everything() -> nn.Sequential:
    first = nn.Conv2d(1, 2, 5), nn.MaxPool2d(2), leaky(), nn.Dropout(P)
    second = nn.Conv2d(2, 1, 3), leaky(), nn.Dropout(P / 2), nn.Identity(), nn.Dropout(P)
    last = nn.Flatten(), *output(), nn.Dropout(P), *output(4)
    return nn.Sequential(nn.Dropout(P), *first, *second, *last)


def one_module_in_two_places() -> nn.Sequential:
    dropout = nn.Dropout(P)
    return nn.Sequential(nn.Flatten(), dropout, nn.Linear(196, 9), dropout, leaky(), *output())


def perceptron() -> nn.Module:
    return LeakyMLP(
        (65, 9), in_features=196, out_features=4, dropout=0.2, input_dropout=P, learn_beta=True
    ).network


PLACES = [on_the_input, between_layers, behind_a_convolution, on_the_current]
EVERYWHERE = [*PLACES, of_everything, one_module_in_two_places, perceptron]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", PLACES)
def test_none_in_evaluation(place: Network, backend: Any) -> None:
    network = lively(place()).double().eval()
    record = accelerate(network, backend=backend)(images(), record="all")
    for layer, (fired, _) in zip(record.layers, stepped(network, images()), strict=True):
        assert torch.equal(layer.spikes, fired)


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

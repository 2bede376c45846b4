"""Dropout in accelerated networks.

Drawn anew for each timestep, as in snnTorch's loop. The masks are the same on the reference and on
the engine; the numbers come in another order than in the loop when there are several timesteps, so
there it is the law that agrees.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from spikemnist import ops
from spikemnist.engine import convolution
from spikemnist.models import LeakyConvNet, accelerate
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

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

P = 0.3


def on_the_input() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Dropout(P), nn.Linear(196, 9), leaky(), *output())


def between_layers() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 9), leaky(), nn.Dropout(P), *output())


def behind_a_convolution() -> nn.Sequential:
    before = nn.Conv2d(1, 1, 12), leaky(), nn.Dropout(P / 3), nn.Flatten()
    return nn.Sequential(*before, nn.Dropout(P), *output())


def on_the_current() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 9), nn.Dropout(P), leaky(), *output())


def output() -> list[nn.Module]:
    return [nn.Linear(9, 4), leaky()]


def leaky() -> nn.Module:
    return neuron(spike_grad=ops.ATan(), learn_beta=True)


PLACES = [on_the_input, between_layers, behind_a_convolution, on_the_current]


def test_the_networks_fit() -> None:
    """The convolution leaves nine neurons, as many as the others have."""
    sizes = accelerate(behind_a_convolution(), in_shape=(1, 14, 14)).sizes
    assert sizes["hidden 1"] == 9


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", PLACES)
def test_none_in_evaluation(place: Callable[[], nn.Sequential], backend: Any) -> None:
    network = lively(place()).double().eval()
    record = accelerate(network, backend=backend)(images(), record="all")
    for layer, (fired, _) in zip(record.layers, stepped(network, images()), strict=True):
        assert torch.equal(layer.spikes, fired)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("steps", [1, 7])
def test_seed_of_dropout_in_stepped_modules(place: Callable[[], nn.Sequential], steps: int) -> None:
    network = lively(place()).double()

    def seeded(run: Callable[[], Any]) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            return run()

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


def twice_behind_a_convolution() -> nn.Sequential:
    first = nn.Conv2d(1, 2, 5), nn.MaxPool2d(2), leaky(), nn.Dropout(P)
    second = nn.Conv2d(2, 1, 3), leaky(), nn.Dropout(P / 2), nn.Identity(), nn.Dropout(P)
    return nn.Sequential(*first, *second, nn.Flatten(), *output())


def of_everything() -> nn.Sequential:
    return nn.Sequential(nn.Dropout(P), *twice_behind_a_convolution(), nn.Dropout(P), *output_of(4))


def output_of(features: int) -> list[nn.Module]:
    return [nn.Linear(features, 4), leaky()]


def one_module_in_two_places() -> nn.Sequential:
    dropout = nn.Dropout(P)
    return nn.Sequential(nn.Flatten(), dropout, nn.Linear(196, 9), dropout, leaky(), *output())


EVERYWHERE = [*PLACES, twice_behind_a_convolution, of_everything, one_module_in_two_places]


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("constant", [False, True])
def test_the_engine_draws_the_masks_of_the_reference(
    place: Callable[[], nn.Sequential], constant: bool
) -> None:
    """So do batches of any size, of which ``"auto"`` leaves the small ones to the reference."""
    network = lively(place()).double()
    fed = images(5)
    fed = fed[:1].expand(fed.shape) if constant else fed
    records, states = [], []
    for backend in ("reference", "event_driven"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            model = accelerate(network, backend=backend)
            records.append(model(fed, record="all"))
            states.append(torch.get_rng_state())
        assert records[-1].backend == backend
    assert torch.equal(*states)
    if not constant and place is one_module_in_two_places:
        assert (records[0].layers[0].membrane == 0).any()  # of the current, too
    for one, other in zip(*(record.layers for record in records), strict=True):
        assert torch.equal(one.spikes, other.spikes)
        torch.testing.assert_close(one.membrane, other.membrane, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels", [3, 33])
def test_training_a_convolution_on_either_backend(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many channels, the engine adds the weights of each spike that dropout keeps."""
    monkeypatch.setattr(convolution, "DENSE_FROM", 1.0)
    torch.manual_seed(0)
    layers = f"4C5-P2-{channels}C3-P2-30-10"
    model = LeakyConvNet(
        layers, dropout=P, batch_norm=True, threshold=0.2, backend="reference"
    ).double()
    fed = (torch.rand(4, 3, 28, 28) < 0.3).double()
    results = []
    for backend in ("reference", "event_driven"):
        model.backend = backend
        model.zero_grad()
        torch.manual_seed(1)
        record = model(fed, record="all")
        record.scores.square().sum().backward()
        results.append([record.scores, record.layers[2].spikes])
        results[-1] += [parameter.grad for parameter in model.network[:2].parameters()]
    assert results[0][1].any()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def probe(*before: nn.Module) -> nn.Sequential:
    """Return neurons whose membranes are what dropout hands on of ones, each of its own."""
    linear = nn.Linear(50, 50, bias=False)
    nn.init.eye_(linear.weight)
    return nn.Sequential(*before, linear, neuron(beta=0.0, threshold=100.0))


def always_firing() -> list[nn.Module]:
    """Return a stage whose neurons fire at each timestep, whatever the input."""
    linear = nn.Linear(50, 50)
    nn.init.zeros_(linear.weight)
    nn.init.constant_(linear.bias, 2.0)
    return [linear, neuron(beta=0.0, threshold=1.0, reset_mechanism="none")]


def always_firing_image() -> list[nn.Module]:
    """Return the same with neurons behind a convolution, for images of 5 x 10."""
    conv = nn.Conv2d(1, 1, 1)
    nn.init.zeros_(conv.weight)
    nn.init.constant_(conv.bias, 2.0)
    return [conv, neuron(beta=0.0, threshold=1.0, reset_mechanism="none"), nn.Flatten()]


PROBES: dict[str, tuple[Callable[[], nn.Sequential], tuple[int, ...], float]] = {
    "of the input": (lambda: probe(nn.Dropout(P)), (50,), P),
    "of spikes": (lambda: probe(*always_firing(), nn.Dropout(P)), (50,), P),
    "behind a convolution": (lambda: probe(*always_firing_image(), nn.Dropout(P)), (1, 5, 10), P),
    "twice": (
        lambda: probe(*always_firing(), nn.Dropout(P), nn.Identity(), nn.Dropout(0.5)),
        (50,),
        1 - (1 - P) / 2,
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", PROBES)
@pytest.mark.parametrize("constant", [False, True])
def test_the_law(place: str, constant: bool, backend: Any) -> None:
    """What is kept is scaled up, and kept with its probability, anew for each entry."""
    make, shape, p = PROBES[place]
    ones = torch.ones(40, 20, *shape)
    spikes = ones[0].expand(ones.shape) if constant else ones
    model = accelerate(make(), backend=backend)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        membrane = model(spikes).membrane
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
def test_the_record_holds_spikes_before_dropout(inplace: bool, backend: Any) -> None:
    """Dropout acts on the way to the next layer; in place or not, on no tensor of the caller."""
    dropped = (nn.Dropout(0.5, inplace=inplace) for _ in range(2))
    network = probe(next(dropped), *always_firing(), next(dropped))
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
    def run(network: nn.Sequential) -> Tensor:
        membrane: Tensor = accelerate(network, backend=backend)(torch.ones(5, 3, 50)).membrane
        return membrane

    assert not run(probe(nn.Dropout(1.0))).any()
    assert not run(probe(*always_firing(), nn.Dropout(1.0))).any()

"""Dropout of the engine: `torch.nn.Dropout`, drawn at each timestep.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from spikemnist import engine
from spikemnist.models import LeakyMLP
from spikemnist.ops.dropout import drop_out
from tests.engine.stacks import by_engine, by_reference, stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@pytest.fixture(autouse=True)
def own_random_numbers() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_as_many_random_numbers_are_drawn_as_by_torch(dropout: float) -> None:
    given = stack((20, 65, 30, 3), dropout=dropout)
    states = []
    for run in (by_engine, by_reference):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        run(given.spikes, given.layers, record="output", final=False)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    assert torch.equal(states[0], before) == (dropout == 0)


def test_recorded_spikes_are_those_before_dropout() -> None:
    given = stack((20, 65, 3), dropout=0.5, record="all")
    plain = stack((20, 65, 3), record="all")
    dropped, full = (
        by_engine(one.spikes, one.layers, record="all", final=False) for one in (given, plain)
    )
    assert torch.equal(dropped[0].spikes, full[0].spikes)
    assert torch.equal(dropped[0].counts, full[0].counts)
    assert not torch.equal(dropped[1].membrane, full[1].membrane)


def test_no_gradient_passes_a_dropped_spike() -> None:
    given = stack((20, 70, 65), dropout=0.5, steps=1, record="all")
    own = [replace(params, bias=params.bias.clone().requires_grad_()) for params in given.layers]
    torch.manual_seed(0)
    outputs = by_engine(given.spikes[:, :1], own, record="all", final=False)
    torch.manual_seed(0)
    mask = drop_out(torch.ones(1, 70), 0.5)[0]
    (gradient,) = torch.autograd.grad(outputs[1].membrane.sum(), own[0].bias)
    assert torch.equal(gradient != 0, mask != 0)
    assert 20 < mask.count_nonzero() < 50


@pytest.mark.parametrize(
    "shape", [(3, 2, 5, 7), (2, 64, 3, 3), (1, 1, 1, 1), (0, 2, 3, 3), (4, 70)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_an_input_is_dropped_as_by_the_reference(
    shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, probability: float
) -> None:
    signal = torch.randn(shape, dtype=dtype)
    signal = signal.movedim(1, -1).contiguous().movedim(-1, 1) if channels_last else signal
    signal.requires_grad_()
    results = []
    for drop in (engine.drop_out, drop_out):
        torch.manual_seed(0)
        dropped = drop(signal, probability)
        assert dropped.dtype == dtype
        results.append([dropped, *torch.autograd.grad(dropped.square().sum(), signal)])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def numbers(dtype: torch.dtype, largest: int) -> Tensor:
    """Return an input ``[T, B, F]`` of whole numbers from 0 to ``largest``."""
    fed = stack((20, 3), density=0.6).spikes
    times = torch.randint(1, largest + 1, fed.shape, generator=torch.Generator().manual_seed(3))
    return (fed * times).to(dtype)


@pytest.mark.parametrize("options", [{"dropout": 0.2}, {"input_dropout": 0.3}])
@pytest.mark.parametrize(
    "fed",
    [
        *(numbers(dtype, 1) for dtype in (torch.float64, torch.uint8)),
        numbers(torch.uint8, 3),
        numbers(torch.uint8, 1)[:1].expand(6, -1, -1),
    ],
    ids=["float", "uint8", "counts", "constant"],
)
def test_a_model_trains_the_same_on_either_backend(options: dict[str, float], fed: Tensor) -> None:
    torch.manual_seed(0)
    model = LeakyMLP(20, (65, 9), 3, **options).double()
    results = []
    for backend in ("event_driven", "reference"):
        model.backend = backend
        model.zero_grad()
        torch.manual_seed(1)
        record = model(fed, record="all")
        assert record.backend == backend
        functional.cross_entropy(record.scores, torch.tensor([0, 1, 2])).backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        results.append([record.scores, record.layers[1].spikes, *gradients])
    for result, expected in zip(*results, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-13)
    torch.manual_seed(1)
    trained, tested = model(fed, record="all"), model.eval()(fed, record="all")
    assert not torch.equal(trained.layers[1].membrane, tested.layers[1].membrane)

"""The engine in several threads: the same bits for any number of them.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from spikemnist.kernels import openmp, scheduler
from spikemnist.models import LeakyMLP
from tests.engine.stacks import answer, by_engine, loss_weights, stack

if TYPE_CHECKING:
    from torch import Tensor

    from tests.engine.stacks import Answer, Stack

pytestmark = pytest.mark.usefixtures("threads")

# With a threshold at which less than half of the hidden neurons fire: no matrix product runs,
# below layers of at most 64 neurons.
SPARSE = {"threshold": 3.0}
LARGE = {"steps": 25, "batch": 32, "dtype": torch.float32, "record": "all", "final": True}
STACKS = {
    "made again": stack((300, 200, 60, 10), density=0.03, **SPARSE, **LARGE),
    "kept": stack((300, 200, 60, 10), density=0.3, **SPARSE, **LARGE),
    "one narrow layer": stack((784, 10), density=0.1, **LARGE),
    "one wide layer": stack((300, 700), density=0.3, **LARGE),
    "dropout": stack((300, 200, 10), density=0.2, dropout=0.5, **SPARSE, **LARGE),
    "double": stack((300, 200, 10), density=0.2, **SPARSE, **{**LARGE, "dtype": torch.float64}),
}
DENSE_STACKS = {
    "wide layer above": stack((300, 200, 66, 10), density=0.1, **SPARSE, **LARGE),
    "dense input": stack((784, 20), density=0.8, **LARGE),
    "dense input, wide": stack((300, 200, 66, 10), density=0.8, **LARGE),
    "dense spikes within": stack((100, 130, 70, 10), density=0.3, threshold=-1.0, **LARGE),
}


@pytest.fixture(params=["team", "pool"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run kernels in torch's own threads, whatever else the machine does; or in Python's."""
    if request.param == "pool":
        monkeypatch.setattr(openmp, "team_addresses", lambda: openmp.NO_TEAM)
    elif openmp.team_addresses() == openmp.NO_TEAM:
        pytest.skip("torch's threads are to be had where it brings the only GNU OpenMP runtime")
    monkeypatch.setattr(scheduler, "STALL", math.inf)
    monkeypatch.setattr(scheduler, "_crowded_until", 0.0)
    return str(request.param)


def bits(found: Answer) -> dict[str, Tensor]:
    outputs = {
        f"{name} {index}": getattr(did, name)
        for index, did in enumerate(found.activities)
        for name in ("spikes", "membrane", "final", "counts")
    }
    return outputs | {f"gradient of {name}": value for name, value in found.gradients.items()}


def different(given: Stack, *, count: int, inputs: bool = True) -> set[str]:
    """Return in which tensors that many threads differ from one."""
    if not inputs:
        given = replace(given, spikes=given.spikes.to(torch.uint8))
    towards = loss_weights(given)
    results = []
    for number in (1, count):
        torch.set_num_threads(number)
        results.append(bits(answer(by_engine, given, towards)))
        assert torch.get_num_threads() == number
    one, many = results
    return {name for name, value in one.items() if not torch.equal(value, many[name])}


@pytest.mark.usefixtures("where")
@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_same_bits_for_any_number_of_threads(name: str, count: int) -> None:
    """Gradients of the input aside: see below."""
    for _ in range(3):
        assert different(STACKS[name], count=count, inputs=False) == set()


@pytest.mark.usefixtures("where")
def test_several_python_threads_at_once() -> None:
    """Each with inputs of its own; more of them than there are cores."""
    torch.set_num_threads(2)
    given = [stack((200, 130, 10), density=0.2, seed=seed, **LARGE) for seed in range(4)]
    towards = [loss_weights(each) for each in given]
    expected = [bits(answer(by_engine, *each)) for each in zip(given, towards, strict=True)]

    def run(index: int) -> list[dict[str, Tensor]]:
        return [bits(_answer_of(given[index], towards[index])) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    for found, wanted in zip(results, expected, strict=True):
        for one in found:
            assert all(torch.equal(value, wanted[name]) for name, value in one.items())


def _answer_of(given: Stack, towards: list[dict[str, Tensor]]) -> Answer:
    # New threads begin with as many threads of torch's as the machine has.
    torch.set_num_threads(2)
    return answer(by_engine, given, towards)


@pytest.mark.usefixtures("where")
def test_one_model_in_several_python_threads() -> None:
    """A call changes nothing in the model, so that calls may overlap."""
    torch.set_num_threads(2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeakyMLP(200, (130,), 10, backend="event_driven")
    images = [stack((200, 10), density=0.2, seed=seed, **LARGE).spikes for seed in range(6)]

    def step(fed: Tensor) -> list[Tensor]:
        loss = functional.cross_entropy(model(fed).scores, torch.zeros(32, dtype=torch.long))
        return [loss, *torch.autograd.grad(loss, list(model.parameters()))]

    expected = [step(fed) for fed in images]
    with ThreadPoolExecutor(3) as pool:
        for found, wanted in zip(pool.map(step, images), expected, strict=True):
            assert all(map(torch.equal, found[1:], wanted[1:]))

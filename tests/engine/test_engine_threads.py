"""The engine in several threads: the same bits for any number of them.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spikemnist.models import LeakyMLP
from tests.kernels.teams import pool, team, where
from tests.laws.runners import Answer, answer, by_engine, loss_weights
from tests.laws.stacks import Stack, stack

__all__ = ["pool", "team", "where"]

pytestmark = pytest.mark.usefixtures("where")

# Less than half of the hidden neurons fire, so that no matrix product runs.
SPARSE = {"threshold": 3.0}
LARGE = {"steps": 25, "batch": 32, "dtype": torch.float32, "record": "all", "final": True}


def current() -> Stack:
    """Make neurons, in 18 blocks, whose current is given, with a layer above."""
    given = stack((1100, 1100, 10), density=0.5, **LARGE)
    bare = replace(given.layers[0], weight=None, bias=None)
    return replace(given, layers=[bare, given.layers[1]], record="output")


STACKS = {
    "recomputed": stack((300, 200, 60, 10), density=0.03, **SPARSE, **LARGE),
    "saved": stack((300, 200, 60, 10), density=0.3, **SPARSE, **LARGE),
    "one narrow layer": stack((784, 10), density=0.1, **LARGE),
    "one wide layer": stack((300, 700), density=0.3, **LARGE),
    "dropout": stack((300, 200, 10), density=0.2, dropout=0.5, **SPARSE, **LARGE),
    "current": current(),
    "double": stack((300, 200, 10), density=0.2, **SPARSE, **{**LARGE, "dtype": torch.float64}),
}


def bits(result: Answer) -> dict[str, Tensor]:
    outputs = {
        f"{name} {index}": getattr(output, name)
        for index, output in enumerate(result.layers)
        for name in ("spikes", "membrane", "final", "counts")
        if getattr(output, name) is not None
    }
    return outputs | {f"gradient of {name}": value for name, value in result.gradients.items()}


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("count", [3, 8])
def test_any_number_of_threads_makes_the_same_bits(name: str, count: int) -> None:
    """Spikes as input need no gradient, the last step of which is a matrix product of torch."""
    given = STACKS[name]
    if given.layers[0].weight is not None:
        given = replace(given, spikes=given.spikes.to(torch.uint8))
    towards = loss_weights(given)
    torch.set_num_threads(1)
    expected = bits(answer(by_engine, given, towards))
    torch.set_num_threads(count)
    for _ in range(2):
        result = bits(answer(by_engine, given, towards))
        assert torch.get_num_threads() == count
        for name, value in expected.items():
            assert torch.equal(value, result[name]), name


def test_several_python_threads_at_once() -> None:
    """More threads than cores, each with its own input."""
    torch.set_num_threads(2)
    given = [stack((200, 130, 10), density=0.2, seed=seed, **LARGE) for seed in range(4)]
    towards = [loss_weights(item) for item in given]
    expected = [bits(answer(by_engine, *item)) for item in zip(given, towards, strict=True)]

    def run(index: int) -> list[dict[str, Tensor]]:
        return [bits(_answer_of(given[index], towards[index])) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    for result, wanted in zip(results, expected, strict=True):
        for one in result:
            assert all(torch.equal(value, wanted[name]) for name, value in one.items())


def _answer_of(given: Stack, towards: list[dict[str, Tensor]]) -> Answer:
    # In a new thread, torch has as many threads as the machine.
    torch.set_num_threads(2)
    return answer(by_engine, given, towards)


def test_one_model_in_several_python_threads() -> None:
    """A call does not change the model, so calls may overlap."""
    torch.set_num_threads(2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeakyMLP((130,), in_features=200, out_features=10, backend="event_driven")
    images = [stack((200, 10), density=0.2, seed=seed, **LARGE).spikes for seed in range(6)]

    def step(fed: Tensor) -> list[Tensor]:
        loss = functional.cross_entropy(model(fed).scores, torch.zeros(32, dtype=torch.long))
        return [loss, *torch.autograd.grad(loss, list(model.parameters()))]

    expected = [step(fed) for fed in images]
    with ThreadPoolExecutor(3) as pool:
        for result, wanted in zip(pool.map(step, images), expected, strict=True):
            assert all(map(torch.equal, result[1:], wanted[1:]))

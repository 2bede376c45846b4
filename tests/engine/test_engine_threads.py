"""The engine in several threads: the same bits for any number of them.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from spikemnist.models import LeakyMLP
from tests.engine.cases import by_engine
from tests.kernels.teams import pool, team, where
from tests.laws.runners import Answer, answer, loss_weights
from tests.laws.stacks import Stack, stack

__all__ = ["pool", "team", "where"]

pytestmark = pytest.mark.usefixtures("where")

SPARSE = {"threshold": 3.0}
LARGE = {"steps": 25, "batch": 32, "dtype": torch.float32, "record": "all", "final": True}


def current() -> Stack:
    """Make neurons, in 18 blocks, whose current is given, with a layer above."""
    given = stack((1100, 1100, 10), density=0.5, **LARGE)
    bare = replace(given.layers[0], weight=None, bias=None)
    return replace(given, layers=[bare, given.layers[1]], record="output")


def constant() -> Stack:
    """Make a network whose input is the same numbers at each timestep."""
    given = stack((300, 200, 10), density=0.5, **LARGE)
    numbers = torch.rand(32, 300, generator=torch.Generator().manual_seed(0))
    return replace(given, spikes=numbers.expand(25, -1, -1))


STACKS = {
    "recomputed": stack((300, 200, 60, 10), density=0.03, **SPARSE, **LARGE),
    "saved": stack((300, 200, 60, 10), density=0.3, **SPARSE, **LARGE),
    "one narrow layer": stack((784, 10), density=0.1, **LARGE),
    "one wide layer": stack((300, 700), density=0.3, **LARGE),
    "dropout": stack((300, 200, 10), density=0.2, dropout=0.5, **SPARSE, **LARGE),
    "current": current(),
    "dense": stack((300, 200, 60, 10), density=0.9, threshold=0.1, **LARGE),
    "constant": constant(),
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
@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_any_number_of_threads_makes_the_same_bits(name: str, count: int) -> None:
    given = STACKS[name]
    towards = loss_weights(given)
    torch.set_num_threads(1)
    expected = bits(answer(by_engine, given, towards))
    torch.set_num_threads(count)
    for _ in range(2):
        result = bits(answer(by_engine, given, towards))
        assert torch.get_num_threads() == count
        for name, value in expected.items():
            assert torch.equal(value, result[name]), name


class Products(TorchDispatchMode):
    """The matrix products of torch: name, shapes and number of threads of each."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[torch.Size, ...], int]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.overloadpacket.__name__
        if name in ("mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot"):
            factors = [part for part in args if isinstance(part, Tensor)]
            self.seen.append((name, tuple(part.shape for part in factors), torch.get_num_threads()))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["dense", "constant", "saved"])
@pytest.mark.parametrize("rows", [1, 32, 33])
def test_one_thread_computes_each_part_of_a_product(name: str, rows: int) -> None:
    """Parts do not depend on the number of threads, and torch shares out whole ones."""
    given = STACKS[name]
    samples = given.spikes.unbind(1) * 2
    spikes = torch.stack(samples[:rows], 1)
    given = replace(given, spikes=spikes[0].expand_as(spikes) if name == "constant" else spikes)
    towards = loss_weights(given)
    parts = []
    for count in (1, 2, 3, 8, 16):
        torch.set_num_threads(count)
        with Products() as products:
            answer(by_engine, given, towards)
        assert products.seen
        for product, (left, _), threads in products.seen:
            assert product == "bmm"
            assert threads == min(count, left[0])
        parts.append([(product, shapes) for product, shapes, _ in products.seen])
    assert all(part == parts[0] for part in parts)


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

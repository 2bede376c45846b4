"""No memory is read before it is written.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from spikemnist import ops
from spikemnist.kernels import memory
from tests.laws.agreement import assert_same_bits
from tests.laws.runners import INTERPRETED, RUNNERS, answer, loss_weights
from tests.laws.stacks import Stack, neurons, stack
from tests.pairs import Case, named, pairs

pytestmark = INTERPRETED


def poison(array: Any) -> Any:
    """Fill an array with NaN, or with integers that are no valid words or indices."""
    if array.dtype.kind == "f":
        array.fill(np.nan)
    else:
        array.view(np.uint8).fill(0x5A)
    return array


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Return a function from whose call on uninitialised memory is poisoned."""
    pooled, plain = memory.empty, np.empty

    def empty(shape: Any, dtype: Any) -> Any:
        return poison(pooled(shape, dtype))

    def start() -> None:
        monkeypatch.setattr(memory, "empty", empty)
        monkeypatch.setattr(np, "empty", lambda *args, **options: poison(plain(*args, **options)))
        torch.use_deterministic_algorithms(True)
        assert torch.empty(3).isnan().all()
        assert np.isnan(memory.empty((1 << 17,), np.float32)).all()

    before = torch.are_deterministic_algorithms_enabled()
    yield start
    torch.use_deterministic_algorithms(before)


def analog() -> Stack:
    images = torch.rand(7, 3, 70, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return replace(stack((70, 70, 5)), spikes=images)


def constant() -> Stack:
    given = analog()
    return replace(given, spikes=given.spikes[0].expand(7, 3, 70))


def current() -> Stack:
    given = analog()
    bare = replace(given.layers[0], weight=None, bias=None)
    return replace(given, layers=[bare, *given.layers[1:]])


STACKS: dict[str, Callable[[], Stack]] = {
    "recomputed": lambda: stack((70, 130, 66, 3), density=0.1, initial=True),
    "saved": lambda: stack((70, 130, 66, 3), density=0.4),
    "dense": lambda: stack((70, 130, 66, 3), density=0.9, initial=True),
    "silent": lambda: stack((70, 130, 3), density=0.0, bias=False),
    "bursts": lambda: stack((70, 200, 3), density=0.4, steps=70, initial=True),
    "dropout": lambda: stack((70, 130, 66, 3), dropout=0.5),
    "one of each": lambda: stack((1, 1), steps=1, batch=1, density=1.0, initial=True),
    "large": lambda: stack((300, 257, 130), batch=16, steps=20),
    "analog": analog,
    "constant": constant,
    "current": current,
    **{
        f"reset {reset}": lambda reset=reset: neurons((6, 3, 5), reset_mechanism=reset)
        for reset in ops.RESET_MECHANISMS
    },
}
DESIGN = pairs(
    runner=list(RUNNERS),
    stack=list(STACKS),
    record=["output", "all"],
    dtype=[torch.float32, torch.float64],
)


@pytest.mark.parametrize("case", DESIGN, ids=named)
def test_no_uninitialised_memory_is_read(poisoned: Callable[[], None], case: Case) -> None:
    everything = case["record"] == "all"
    given = replace(STACKS[case["stack"]](), record=case["record"], final=everything)
    given, run = given.to(case["dtype"]), RUNNERS[case["runner"]]
    towards = loss_weights(given)
    clean = answer(run, given, towards)  # compiles kernels before NumPy is poisoned
    poisoned()
    assert_same_bits(answer(run, given, towards), clean)

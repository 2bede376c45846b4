"""Memory of the engine: none is held without need.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import copy
import gc
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from spikemnist.engine import autograd
from spikemnist.kernels import memory
from spikemnist.models import LeakyMLP
from tests.engine.cases import by_engine
from tests.laws.agreement import assert_same_bits
from tests.laws.runners import answer, loss_weights
from tests.laws.stacks import spikes, stack

T, B, F, HIDDEN = 25, 32, 300, 256
HIDDEN_BYTES = 4 * T * B * HIDDEN
"""Of the membranes of the hidden layer in `network`."""


@pytest.fixture
def scribbled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overwrite buffers that return to the pool."""
    take = memory._take

    def scribble(idle: deque[Any]) -> Tensor | None:
        for item in memory._idle.values():
            for loan in item:
                loan.buffer.numpy().fill(255)  # torch refuses to change tensors of inference mode
        return take(idle)

    monkeypatch.setattr(memory, "_take", scribble)


@pytest.mark.usefixtures("scribbled")
@pytest.mark.parametrize("record", ["output", "all"])
def test_nothing_uses_a_buffer_that_returned(record: str) -> None:
    given = stack((300, 257, 130), batch=16, steps=20, record=record, final=True)
    other = stack((130, 300), batch=20, steps=20, density=0.7)
    towards = loss_weights(given)
    expected = answer(by_engine, given, towards)
    copies = copy.deepcopy(expected)
    for _ in range(3):
        answer(by_engine, other, loss_weights(other))
        assert_same_bits(answer(by_engine, given, towards), copies)
    assert_same_bits(expected, copies)


class Ledger:
    """Sizes in bytes of the buffers that an empty pool makes and lends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fresh: list[int] = []
        self.largest = 0
        self.make, self.take = memory._fresh, memory._take
        for name, empty in (("_loans", {}), ("_idle", {}), ("_idle_bytes", 0)):
            monkeypatch.setattr(memory, name, empty)
        monkeypatch.setattr(memory, "_fresh", self._fresh)
        monkeypatch.setattr(memory, "_take", self._take)

    def _fresh(self, size: int) -> Tensor:
        self.fresh.append(size)
        self.largest = max(self.largest, size)
        return self.make(size)

    def _take(self, idle: deque[Any]) -> Tensor | None:
        buffer = self.take(idle)
        if buffer is not None:
            self.largest = max(self.largest, buffer.numel())
        return buffer

    @property
    def out(self) -> int:
        """Bytes in use."""
        loans = memory._loans.values()
        return sum(loan.buffer.numel() for loan in loans if loan() is not None)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    gc.collect()
    return Ledger(monkeypatch)


def network(**options: Any) -> LeakyMLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LeakyMLP(
            (HIDDEN,), in_features=F, out_features=10, backend="event_driven", **options
        )


def train(model: LeakyMLP, fed: Tensor) -> None:
    model.zero_grad()
    functional.cross_entropy(model(fed).scores, torch.zeros(B, dtype=torch.long)).backward()


@pytest.mark.parametrize("density", [0.05, 0.3, 0.8])
def test_later_steps_take_large_buffers_from_the_pool(ledger: Ledger, density: float) -> None:
    model = network(learn_beta=True)
    fed = [spikes(T, B, F, density=density, seed=seed, dtype=torch.uint8) for seed in range(2)]
    for item in (*fed, *fed):
        train(model, item)
    assert ledger.fresh
    ledger.fresh.clear()
    cpu = [ProfilerActivity.CPU]
    with profile(activities=cpu, profile_memory=True, acc_events=True) as profiler:
        for item in (*fed, *fed):
            train(model, item)
    assert ledger.fresh == []
    # Torch allocates none either.
    sizes = [event.cpu_memory_usage for event in profiler.events() if event.name == "[memory]"]
    assert len(sizes) > 10
    assert max(sizes) < HIDDEN_BYTES


@pytest.mark.parametrize("inference", [torch.no_grad, torch.inference_mode])
def test_inference_allocates_nothing_for_a_backward_pass(
    ledger: Ledger, inference: Callable[[], Any]
) -> None:
    model = network()
    fed = spikes(T, B, F, density=0.3, dtype=torch.uint8)
    large = [size for size in tensor_sizes() if size >= HIDDEN_BYTES]
    with inference():
        record = model(fed)
    assert ledger.largest < HIDDEN_BYTES
    assert ledger.out == 0
    assert [size for size in tensor_sizes() if size >= HIDDEN_BYTES] == large
    del record
    record = model(fed)
    assert ledger.largest >= HIDDEN_BYTES
    assert ledger.out
    del record
    gc.collect()
    assert ledger.out == 0


@pytest.mark.parametrize(
    "fed",
    [spikes(T, B, F, density=0.01, dtype=torch.uint8), torch.full((B, F), 0.3).expand(T, B, F)],
    ids=["few spikes", "direct code"],
)
def test_no_membranes_are_kept_for_the_backward_pass(ledger: Ledger, fed: Tensor) -> None:
    """They are computed again, block by block."""
    train(network(), fed)
    assert 0 < ledger.largest < HIDDEN_BYTES


def test_a_current_takes_the_place_of_membranes(ledger: Ledger) -> None:
    """Autograd holds it anyway, as behind a convolution."""
    layer = replace(stack((F, HIDDEN)).to(torch.float32).layers[0], weight=None, bias=None)
    current = torch.rand(T, B, HIDDEN, requires_grad=True)
    (output,) = autograd.run([layer], current, record="spikes")
    assert output.spikes is not None
    assert HIDDEN_BYTES <= ledger.out < 1.5 * HIDDEN_BYTES  # the spikes, as numbers and as bits


def tensor_sizes() -> list[int]:
    """Return the bytes of every tensor's storage that the garbage collector knows."""
    gc.collect()
    result = [one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
    return sorted(one.untyped_storage().nbytes() for one in result)


def test_a_graph_holds_bits_and_one_dense_tensor_for_a_layer(ledger: Ledger) -> None:
    model = network()
    record = model(spikes(T, B, F, density=0.3, dtype=torch.uint8))
    # Membranes in blocks of 64 neurons, and 5, 4 and 1 words for input, hidden and output; and two
    # bytes for each hidden spike, which the output layer has listed.
    listed = 2 * int(record.spike_counts[0].sum())
    rounding = 1.125  # the pool's sizes
    bound = HIDDEN_BYTES + T * B * (4 * 64 + 8 * 10) + rounding * listed
    assert ledger.out <= bound
    record.scores.sum().backward()
    del record
    gc.collect()
    gradients = sum(parameter.grad.nbytes for parameter in model.parameters())
    assert ledger.out <= rounding * gradients

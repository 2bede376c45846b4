"""What the engine does with memory: reads none that it did not write, keeps none it need not.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import copy
import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from spikemnist import engine
from spikemnist.kernels import memory
from spikemnist.models import LeakyMLP
from tests.engine.stacks import answer, by_engine, cast, loss_weights, spikes, stack

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from tests.engine.stacks import Answer, Stack

T, B, F, HIDDEN = 25, 32, 300, 256
HIDDEN_BYTES = 4 * T * B * HIDDEN
"""Of the membranes of the hidden layer in `network`."""


def poison(array: Any) -> Any:
    """Fill NumPy memory with what is no number, no word and no index."""
    if array.dtype.kind == "f":
        array.fill(np.nan)
    else:
        array.view(np.uint8).fill(0x5A)
    return array


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """From the call on, whatever is handed out uninitialised holds poison."""
    pooled, plain = memory.empty, np.empty

    def empty(shape: Any, dtype: torch.dtype) -> Tensor:
        tensor = pooled(shape, dtype)
        poison(tensor.numpy())
        return tensor

    def start() -> None:
        monkeypatch.setattr(memory, "empty", empty)
        monkeypatch.setattr(np, "empty", lambda *args, **options: poison(plain(*args, **options)))
        torch.use_deterministic_algorithms(True)
        assert torch.empty(3).isnan().all()
        assert memory.empty((1 << 17,), torch.float32).isnan().all()

    before = torch.are_deterministic_algorithms_enabled()
    yield start
    torch.use_deterministic_algorithms(before)


def assert_equal_bits(found: Answer, expected: Answer) -> None:
    for one, other in zip(found.activities, expected.activities, strict=True):
        for name in ("spikes", "membrane", "final", "counts"):
            value, wanted = getattr(one, name), getattr(other, name)
            assert (value is None) == (wanted is None)
            assert value is None or torch.equal(value, wanted), name
    for name, gradient in found.gradients.items():
        assert torch.equal(gradient, expected.gradients[name]), name


STACKS = {
    "made again": {"sizes": (70, 130, 66, 3), "density": 0.1},
    "kept": {"sizes": (70, 130, 66, 3), "density": 0.4},
    "dense": {"sizes": (70, 130, 66, 3), "density": 0.9},
    "silent": {"sizes": (70, 130, 3), "density": 0.0, "bias": False},
    "all of them": {"sizes": (70, 130, 3), "density": 1.0},
    "bursts": {"sizes": (70, 200, 3), "density": 0.4, "steps": 70},
    "dropout": {"sizes": (70, 130, 66, 3), "dropout": 0.5},
    "one of each": {"sizes": (1, 1), "steps": 1, "batch": 1, "density": 1.0},
    "large": {"sizes": (300, 257, 130), "batch": 16, "steps": 20},
}


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("record", ["output", "all"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_uninitialised_memory_is_read(
    poisoned: Callable[[], None], name: str, record: str, dtype: torch.dtype
) -> None:
    options = {"initial": record == "all", "final": record == "all", **STACKS[name]}
    given = stack(options.pop("sizes"), record=record, **options)
    given = replace(given, layers=[cast(each, dtype) for each in given.layers])
    towards = loss_weights(given)
    clean = answer(by_engine, given, towards)  # what is to be compiled is, before NumPy is poisoned
    poisoned()
    assert_equal_bits(answer(by_engine, given, towards), clean)


@pytest.mark.parametrize("fed", ["analog", "constant", "current"])
def test_no_uninitialised_memory_is_read_with_other_inputs(
    poisoned: Callable[[], None], fed: str
) -> None:
    given = stack((70, 70, 5))
    images = torch.rand(7, 3, 70, dtype=torch.float64)
    layers = list(given.layers)
    if fed == "constant":
        images = images[0].expand(7, 3, 70)
    if fed == "current":
        layers[0] = replace(layers[0], weight=None, bias=None)
    given = replace(given, spikes=images, layers=layers)
    towards = loss_weights(given)
    clean = answer(by_engine, given, towards)
    poisoned()
    assert_equal_bits(answer(by_engine, given, towards), clean)


@pytest.fixture
def scribbled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes back to the pool is soon not a number."""
    take = memory._take

    def scribble(idle: deque[Any]) -> Tensor | None:
        for each in memory._idle.values():
            for loan in each:
                loan.buffer.numpy().fill(255)  # torch refuses what inference mode has made
        return take(idle)

    monkeypatch.setattr(memory, "_take", scribble)


@pytest.mark.usefixtures("scribbled")
@pytest.mark.parametrize("record", ["output", "all"])
def test_memory_that_comes_back_is_in_use_by_nobody(record: str) -> None:
    """Neither by a graph nor by an output, while calls of other sizes come and go."""
    given = stack((300, 257, 130), batch=16, steps=20, record=record, final=True)
    other = stack((130, 300), batch=20, steps=20, density=0.7)
    towards = loss_weights(given)
    expected = answer(by_engine, given, towards)
    kept = copy.deepcopy(expected)
    for _ in range(3):
        answer(by_engine, other, loss_weights(other))
        assert_equal_bits(answer(by_engine, given, towards), kept)
    assert_equal_bits(expected, kept)


class Ledger:
    """Looks at what an empty pool makes and lends, in bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fresh: list[int] = []
        self.largest = 0
        self.make, self.take = memory._fresh, memory._take
        for name, empty in (("_loans", {}), ("_idle", {}), ("_kept_bytes", 0)):
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
        """How much is in use."""
        loans = memory._loans.values()
        return sum(loan.buffer.numel() for loan in loans if loan() is not None)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    gc.collect()
    return Ledger(monkeypatch)


def network(**options: Any) -> LeakyMLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LeakyMLP(F, (HIDDEN,), 10, backend="event_driven", **options)


def train(model: LeakyMLP, fed: Tensor) -> None:
    model.zero_grad()
    functional.cross_entropy(model(fed).scores, torch.zeros(B, dtype=torch.long)).backward()


@pytest.mark.parametrize("density", [0.05, 0.3, 0.8])
def test_a_step_in_the_steady_state_takes_all_large_memory_from_the_pool(
    ledger: Ledger, density: float
) -> None:
    model = network(learn_beta=True)
    fed = [spikes(T, B, F, density=density, seed=seed, dtype=torch.uint8) for seed in range(2)]
    for each in (*fed, *fed):
        train(model, each)
    assert ledger.fresh
    ledger.fresh.clear()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        for each in (*fed, *fed):
            train(model, each)
    assert ledger.fresh == []
    # Nor does torch allocate any beside it.
    sizes = [event.cpu_memory_usage for event in profiler.events() if event.name == "[memory]"]
    assert len(sizes) > 10
    assert max(sizes) < HIDDEN_BYTES


@pytest.mark.parametrize(
    ("inference", "density"), [(torch.no_grad, 0.05), (torch.inference_mode, 0.3)]
)
def test_inference_keeps_nothing_for_a_backward_pass(
    ledger: Ledger, inference: Callable[[], Any], density: float
) -> None:
    """Not even for a moment: no buffer of the size of the hidden membranes is ever asked for."""
    model = network()
    fed = spikes(T, B, F, density=density, dtype=torch.uint8)
    large = [size for size in tensor_sizes() if size >= HIDDEN_BYTES]
    with inference():
        record = model(fed)
    assert ledger.largest < HIDDEN_BYTES
    assert ledger.out == 0
    assert [size for size in tensor_sizes() if size >= HIDDEN_BYTES] == large
    del record
    record = model(fed)
    assert ledger.largest >= HIDDEN_BYTES, "what training keeps must be what this test looks for"
    assert ledger.out
    del record
    gc.collect()
    assert ledger.out == 0


def tensor_sizes() -> list[int]:
    """Return the bytes of every tensor's storage that the garbage collector knows."""
    gc.collect()
    found = [one for one in gc.get_objects() if type(one) in (torch.Tensor, torch.nn.Parameter)]
    return sorted(one.untyped_storage().nbytes() for one in found)


def test_a_graph_keeps_bits_and_at_most_one_dense_tensor_a_layer(ledger: Ledger) -> None:
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


def test_memory_made_in_inference_mode_serves_in_training(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network()
    fed = spikes(T, B, F, dtype=torch.uint8)
    with torch.inference_mode():
        model(fed, record="all")
    idle = sum(map(len, memory._idle.values()))
    train(model, fed)
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    assert idle
    monkeypatch.setattr(memory, "empty", lambda shape, dtype: torch.empty(shape, dtype=dtype))
    train(model, fed)
    assert all(map(torch.equal, gradients, (parameter.grad for parameter in model.parameters())))


def test_a_view_of_an_output_keeps_its_memory() -> None:
    each = stack((70, 300)).layers[0]
    fed = spikes(T, B, 70)
    (did,) = engine.run([cast(each, torch.float32)], fed)
    view, array = did.spikes[3], did.membrane.numpy()
    kept, same = view.clone(), array.copy()
    del did
    for _ in range(3):
        engine.run([cast(each, torch.float32)], 1 - fed)
    assert torch.equal(view, kept)
    assert np.array_equal(array, same)


def bytes_kept(given: Stack) -> int:
    own = [replace(each, weight=each.weight.clone().requires_grad_()) for each in given.layers]
    did = by_engine(given.spikes, own, record="output", final=False)[-1]
    saved = did.membrane.grad_fn.saved_tensors
    return sum(tensor.nbytes for tensor in saved if tensor is not None)


def test_the_input_is_kept_as_bits() -> None:
    """An input of spikes is not kept as it came; one of other numbers is, there is no other way."""
    given = stack((640, 3), batch=8, steps=20)
    binary = bytes_kept(given)
    analog = bytes_kept(replace(given, spikes=given.spikes * 0.5))
    assert analog - binary > 0.9 * given.spikes.nbytes

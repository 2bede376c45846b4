"""Buffers that are used again, never while something refers to them."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.kernels import memory
from spikemnist.kernels.memory import POOLED_FROM

LARGE = (POOLED_FROM,)
DTYPES = [
    torch.uint8,
    torch.bool,
    torch.uint16,
    torch.int32,
    torch.int64,
    torch.float32,
    torch.float64,
]


@given(st.lists(st.integers(0, 70), min_size=1, max_size=4).map(tuple), st.sampled_from(DTYPES))
def test_any_shape_and_dtype(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = memory.empty(shape, dtype)
    assert type(tensor) is torch.Tensor
    assert (tensor.shape, tensor.dtype) == (shape, dtype)
    assert tensor.is_contiguous()
    assert not tensor.requires_grad
    tensor.fill_(1)
    assert bool((tensor == 1).all())


@pytest.mark.parametrize("size", [POOLED_FROM, POOLED_FROM + 1, 3 * POOLED_FROM + 64])
def test_rows_begin_on_cache_lines(size: int) -> None:
    assert memory.empty((size,), torch.uint8).data_ptr() % 64 == 0


def test_a_buffer_returns_when_nothing_refers_to_it() -> None:
    first = memory.empty(LARGE, torch.uint8)
    place = first.data_ptr()
    assert memory.empty(LARGE, torch.uint8).data_ptr() != place
    del first
    assert place in {one.data_ptr() for one in [memory.empty(LARGE, torch.uint8) for _ in range(9)]}


HOLDERS = {
    "a view": lambda tensor: tensor[3:],
    "another dtype": lambda tensor: tensor.view(torch.int64),
    "an array": lambda tensor: tensor.numpy(),
    "part of an array": lambda tensor: tensor.numpy()[5:6],
    "its storage": lambda tensor: tensor.untyped_storage(),
    "a detached one": lambda tensor: tensor.detach(),
    "a tensor of an array": lambda tensor: torch.from_numpy(tensor.numpy()[1:]),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_view_keeps_the_buffer(holder: str) -> None:
    tensor = memory.empty(LARGE, torch.uint8).fill_(7)
    held: Any = HOLDERS[holder](tensor)
    place = tensor.data_ptr()
    del tensor
    others = [memory.empty(LARGE, torch.uint8).fill_(0) for _ in range(9)]
    assert place not in {other.data_ptr() for other in others}
    content = bytes(held) if holder == "its storage" else np.asarray(held).tobytes()
    assert set(content) == {7}
    del held
    assert place in {one.data_ptr() for one in [memory.empty(LARGE, torch.uint8) for _ in range(9)]}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8)), max_size=30))
def test_living_tensors_share_no_memory(steps: list[tuple[int, int]]) -> None:
    alive: dict[int, torch.Tensor] = {}
    for number, (slot, size) in enumerate(steps):
        alive[slot] = memory.empty((size * POOLED_FROM // 3,), torch.uint8).fill_(number)
        values = {key: set(one[:: POOLED_FROM // 7].tolist()) for key, one in alive.items()}
        assert all(len(bits) == 1 for bits in values.values())
        assert len(set(map(tuple, values.values()))) == len(alive)


def test_threads_get_different_buffers() -> None:
    def churn(mark: int) -> bool:
        for size in range(200):
            tensor = memory.empty((POOLED_FROM + size % 3 * 4096,), torch.uint8).fill_(mark)
            if not bool((tensor == mark).all()):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(churn, range(4)))


def test_the_pool_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, made = memory._fresh, []

    def remember(size: int) -> torch.Tensor:
        buffer = fresh(size)
        made.append(weakref.ref(buffer))
        return buffer

    monkeypatch.setattr(memory, "POOL_BYTES", 10 * POOLED_FROM)
    monkeypatch.setattr(memory, "_fresh", remember)
    for name, empty in (("_loans", {}), ("_idle", {}), ("_idle_bytes", 0)):
        monkeypatch.setattr(memory, name, empty)
    lent = [memory.empty(LARGE, torch.uint8) for _ in range(37)]
    assert len({one.data_ptr() for one in lent}) == 37
    del lent
    assert sum(reference() is not None for reference in made) == 7
    lent = [memory.empty(LARGE, torch.uint8) for _ in range(7)]
    assert len(made) == 37
    del lent
    memory.empty((11 * POOLED_FROM,), torch.uint8)  # larger than the pool
    assert sum(reference() is not None for reference in made) == 1


def test_buffers_are_on_the_cpu() -> None:
    with torch.device("meta"):
        tensors = [memory.empty((3,), torch.float32), memory.empty(LARGE, torch.float32)]
    assert {tensor.device.type for tensor in tensors} == {"cpu"}


def test_a_buffer_of_inference_mode_serves_in_training() -> None:
    with torch.inference_mode():
        tensor = memory.empty(LARGE, torch.float32)
    place = tensor.data_ptr()
    del tensor
    again = [memory.empty(LARGE, torch.float32) for _ in range(9)]
    assert place in {one.data_ptr() for one in again}
    assert not any(one.is_inference() for one in again)
    weight = torch.ones(LARGE, requires_grad=True)
    (weight * again[0].fill_(2)).sum().backward()
    assert bool((weight.grad == 2).all())

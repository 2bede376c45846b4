"""Buffers that are used again, never while something refers to them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
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
DTYPES = [np.uint8, np.bool_, np.uint16, np.int32, np.int64, np.float32, np.float64]


@given(st.lists(st.integers(0, 70), min_size=1, max_size=4).map(tuple), st.sampled_from(DTYPES))
def test_any_shape_and_dtype(shape: tuple[int, ...], dtype: Any) -> None:
    array = memory.empty(shape, dtype)
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype) == (shape, dtype)
    assert array.flags.c_contiguous
    array.fill(1)
    assert bool((array == 1).all())


@given(st.permutations([1, 5, 40, 300]), st.permutations(range(4)), st.sampled_from(DTYPES))
def test_a_copy_is_contiguous(sizes: list[int], axes: list[int], dtype: Any) -> None:
    source = np.random.default_rng(0).integers(0, 2, sizes, np.uint8).transpose(axes)
    copied = memory.copy(source, dtype)
    assert copied.flags.c_contiguous
    assert copied.dtype == dtype
    assert np.array_equal(copied, source)


@pytest.mark.parametrize("size", [POOLED_FROM, POOLED_FROM + 1, 3 * POOLED_FROM + 64])
def test_rows_begin_on_cache_lines(size: int) -> None:
    assert memory.empty((size,), np.uint8).ctypes.data % 64 == 0


def filled(shape: tuple[int, ...], number: int) -> np.ndarray:
    """Return a buffer of bytes with one number."""
    array = memory.empty(shape, np.uint8)
    array.fill(number)
    return array


def places(count: int) -> set[int]:
    """Return the addresses of buffers that exist at the same time."""
    return {one.ctypes.data for one in [memory.empty(LARGE, np.uint8) for _ in range(count)]}


def test_a_buffer_returns_to_the_pool() -> None:
    first = memory.empty(LARGE, np.uint8)
    place = first.ctypes.data
    assert place not in places(9)
    del first
    assert place in places(9)


HOLDERS: dict[str, Callable[[np.ndarray], Any]] = {
    "a part": lambda array: array[3:],
    "a part of a part": lambda array: array[3:][5:6],
    "another dtype": lambda array: array.view(np.int64),
    "a transposed part": lambda array: array.reshape(4, -1).T[1:],
    "a tensor": torch.from_numpy,
    "a part of a tensor": lambda array: torch.from_numpy(array)[1:],
    "a detached tensor": lambda array: torch.from_numpy(array).detach(),
    "its storage": lambda array: torch.from_numpy(array).untyped_storage(),
    "an array of a tensor": lambda array: torch.from_numpy(array[1:]).numpy(),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_view_keeps_the_buffer(holder: str) -> None:
    array = filled(LARGE, 7)
    held: Any = HOLDERS[holder](array)
    place = array.ctypes.data
    del array
    others = [filled(LARGE, 0) for _ in range(9)]
    assert place not in {other.ctypes.data for other in others}
    content = bytes(held) if holder == "its storage" else np.asarray(held).tobytes()
    assert set(content) == {7}
    del held, others
    assert place in places(19)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8)), max_size=30))
def test_memory_of_living_arrays(steps: list[tuple[int, int]]) -> None:
    alive: dict[int, np.ndarray] = {}
    for number, (slot, size) in enumerate(steps):
        alive[slot] = filled((size * POOLED_FROM // 3,), number)
        values = {key: set(one[:: POOLED_FROM // 7].tolist()) for key, one in alive.items()}
        assert all(len(bits) == 1 for bits in values.values())
        assert len(set(map(tuple, values.values()))) == len(alive)


def test_buffers_of_threads() -> None:
    def churn(mark: int) -> bool:
        for size in range(200):
            array = filled((POOLED_FROM + size % 3 * 4096,), mark)
            if not bool((array == mark).all()):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(churn, range(4)))


def test_limit_of_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, made = memory._fresh, []

    def remember(size: int) -> torch.Tensor:
        buffer = fresh(size)
        made.append(weakref.ref(buffer))
        return buffer

    monkeypatch.setattr(memory, "POOL_BYTES", 10 * POOLED_FROM)
    monkeypatch.setattr(memory, "_fresh", remember)
    for name, empty in (("_loans", {}), ("_idle", {}), ("_idle_bytes", 0)):
        monkeypatch.setattr(memory, name, empty)
    lent = [memory.empty(LARGE, np.uint8) for _ in range(37)]
    assert len({one.ctypes.data for one in lent}) == 37
    del lent
    assert sum(reference() is not None for reference in made) == 7
    lent = [memory.empty(LARGE, np.uint8) for _ in range(7)]
    assert len(made) == 37
    del lent
    memory.empty((11 * POOLED_FROM,), np.uint8)  # larger than the pool
    assert sum(reference() is not None for reference in made) == 1


def test_buffers_are_on_the_cpu() -> None:
    with torch.device("meta"):
        arrays = [memory.empty((3,), np.float32), memory.empty(LARGE, np.float32)]
    assert {torch.from_numpy(array).device.type for array in arrays} == {"cpu"}


def test_a_buffer_of_inference_mode_in_training() -> None:
    with torch.inference_mode():
        array = memory.empty(LARGE, np.float32)
    place = array.ctypes.data
    del array
    again = [memory.empty(LARGE, np.float32) for _ in range(9)]
    assert place in {one.ctypes.data for one in again}
    again[0].fill(2)
    weight, factor = torch.ones(LARGE, requires_grad=True), torch.from_numpy(again[0])
    assert not factor.is_inference()
    (weight * factor).sum().backward()
    assert weight.grad is not None
    assert bool((weight.grad == 2).all())

"""Work shared among threads: each unit once, in as many threads as torch has."""

from __future__ import annotations

import ast
import gc
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import spikemnist
from spikemnist.kernels.compiler import kernel
from spikemnist.kernels.scheduler import (
    GRAIN,
    POOL_GRAIN,
    borrowed,
    by_team,
    next_unit,
    parallel,
    units_of,
    work_queues,
    worker_number,
)
from tests.kernels.teams import pool, team, where
from tests.pairs import Case, named, pairs

__all__ = ["pool", "team", "where"]

pytestmark = pytest.mark.usefixtures("threads")

WAIT = 60
"""Seconds after which threads count as hanging."""


@kernel
def _visit(queue, visits, rounds):
    if by_team(queue):
        return
    visits = borrowed(visits)
    for unit in units_of(queue):
        for _ in range(rounds):
            visits[unit] += 1


def assert_visits() -> None:
    visits = np.zeros(100, np.int64)
    parallel(_visit, 100, visits, 1)
    assert (visits == 1).all()


@numba.njit
def take_next(queue):
    """Call a piece of kernels, which Python cannot."""
    return next_unit(queue)


class Interpreted:
    """A kernel in Python that runs in several threads like a compiled one."""

    def __init__(self, work: Callable[[int], object]) -> None:
        self.py_func = work
        self.lock = threading.Lock()

    def __call__(self, queue: np.ndarray) -> None:
        while (unit := self.take(queue)) < queue[2]:
            self.py_func(unit)

    def take(self, queue: np.ndarray) -> int:
        with self.lock:
            return take_next(queue)


@pytest.mark.usefixtures("where")
@pytest.mark.parametrize(
    "case",
    pairs(count=[1, 2, 3, 8], units=[0, 1, 2, 3, 1000], work=[0, GRAIN, POOL_GRAIN]),
    ids=named,
)
def test_each_unit_runs_once(case: Case) -> None:
    count, units, work = case.values()
    torch.set_num_threads(count)
    visits = np.zeros(max(units, 1), np.int64)
    for _ in range(10):
        parallel(_visit, units, visits, 50, work=work)
    assert (visits == 10 * 50 * (units > 0)).all()
    assert torch.get_num_threads() == count


class Pair(NamedTuple):
    number: float
    rows: tuple[np.ndarray, np.ndarray]


@kernel
def _copy(queue, pair):
    if by_team(queue):
        return
    pair = borrowed(pair)
    for unit in units_of(queue):
        source, target = pair.rows[0][unit], pair.rows[1][unit]
        target[:] = pair.number * source


@pytest.mark.usefixtures("where")
def test_reference_counts_of_borrowed_arrays() -> None:
    torch.set_num_threads(4)
    source, target = np.arange(300.0).reshape(100, 3), np.zeros((100, 3))
    before = sys.getrefcount(source), sys.getrefcount(target)
    for _ in range(20):
        parallel(_copy, 100, Pair(2.0, (source, target)))
    assert np.array_equal(target, 2 * source)
    gc.collect()  # what compiled them
    deadline = time.monotonic() + WAIT  # until helpers notice that no work is left
    while (sys.getrefcount(source), sys.getrefcount(target)) != before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_reference_count_of_a_queue() -> None:
    queue, visits = work_queues(1, 100)[0], np.zeros(100, np.int64)
    before = sys.getrefcount(queue)
    for _ in range(20):
        _visit(queue, visits, 1)
    assert (visits == 1).all()
    assert sys.getrefcount(queue) == before


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(
    ("count", "units", "beyond", "used"),
    [(1, 100, 0, 1), (8, 100, 0, 8), (8, 3, 0, 3), (8, 100, -1, 1)],
)
def test_number_of_threads(count: int, units: int, beyond: int, used: int) -> None:
    """The caller takes the first unit, as with teams and with torch's operators."""
    torch.set_num_threads(count)
    barrier, first = threading.Barrier(used), {}

    def enter(unit: int) -> None:
        if threading.current_thread() not in first:
            first[threading.current_thread()] = unit
            barrier.wait(timeout=WAIT)

    parallel(Interpreted(enter), units, work=POOL_GRAIN + beyond)
    assert len(first) == used
    assert first[threading.main_thread()] == 0


def test_threads_of_an_interpreted_kernel() -> None:
    """Without compilation, two threads could take the same unit."""
    torch.set_num_threads(8)
    calls = []
    parallel(lambda *arguments: calls.append(arguments), 100)
    ((queue,),) = calls
    assert queue.tolist() == work_queues(1, 100)[0].tolist()


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("fails", ["helpers", "caller", "all"])
def test_an_exception_waits_for_all_threads(fails: str) -> None:
    """The caller may free the memory that the helpers write."""
    torch.set_num_threads(3)
    barrier, ended, begun = threading.Barrier(3), [], set()

    def work(unit: int) -> None:
        here = threading.current_thread()
        if here not in begun:
            begun.add(here)
            barrier.wait(timeout=WAIT)
        if fails == "all" or (here is threading.main_thread()) == (fails == "caller"):
            raise ZeroDivisionError(f"unit {unit}")
        time.sleep(0.01)
        ended.append(unit)

    for _ in range(2):
        begun.clear()
        ended.clear()
        with pytest.raises(ZeroDivisionError, match="unit"):
            parallel(Interpreted(work), 12)
        number = len(ended)
        assert number == {"helpers": 10, "caller": 11, "all": 0}[fails]
        time.sleep(0.02)
        assert len(ended) == number
    assert_visits()


@pytest.mark.usefixtures("pool")
def test_kernels_within_a_kernel() -> None:
    """Helpers that wait for helpers would wait for ever."""
    torch.set_num_threads(2)
    parallel(Interpreted(lambda _: assert_visits()), 4)


@pytest.mark.usefixtures("pool")
def test_busy_helpers_are_not_awaited() -> None:
    torch.set_num_threads(2)
    released, both = threading.Event(), threading.Barrier(3)

    def hold(unit: int) -> None:
        both.wait(timeout=WAIT)
        assert released.wait(timeout=WAIT)

    def elsewhere() -> None:
        torch.set_num_threads(2)
        parallel(Interpreted(hold), 2)

    with ThreadPoolExecutor(1) as executor:
        other = executor.submit(elsewhere)
        both.wait(timeout=WAIT)  # now the other caller and the only helper are busy
        assert_visits()
        assert not other.done()
        released.set()
        other.result(timeout=WAIT)


def test_order_of_the_units_of_a_worker() -> None:
    first, second, third = work_queues(3, 8)
    assert [take_next(queue) for queue in (third, first, third, second)] == [5, 0, 6, 2]
    assert [take_next(third) for _ in range(6)] == [7, 1, 3, 4, 8, 8]
    assert take_next(first) == take_next(second) == 8


@given(st.integers(1, 70), st.integers(0, 200), st.data())
def test_every_unit_is_taken_once(workers: int, units: int, data: st.DataObject) -> None:
    table = work_queues(workers, units)
    order = data.draw(st.lists(st.integers(0, workers - 1), min_size=units, max_size=units))
    taken = [take_next(table[worker]) for worker in order]
    assert sorted(taken) == list(range(units))
    assert workers > 1 or taken == list(range(units))
    assert all(take_next(queue) == units for queue in table)


@kernel
def _enter(queue, entered):
    if by_team(queue):
        return
    entered = borrowed(entered)
    entered[worker_number(queue)] += 1


@pytest.mark.usefixtures("team")
def test_numbers_of_a_teams_threads() -> None:
    torch.set_num_threads(3)
    entered = np.zeros(3, np.int64)
    for _ in range(20):
        parallel(_enter, 3, entered)
    assert (entered == 20).all()


def test_first_lines_of_all_kernels() -> None:
    """A kernel that does not would run in one thread, or slowly, with the same result."""
    package = Path(spikemnist.__file__).parent
    kernels = [
        function
        for file in package.rglob("*.py")
        for function in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(function, ast.FunctionDef)
        if "kernel" in map(ast.unparse, function.decorator_list)
    ]
    assert len(kernels) > 10
    for function in kernels:
        first, second, *_ = function.body[1 if ast.get_docstring(function) else 0 :]
        assert ast.unparse(first) == "if by_team(queue):\n    return", function.name
        assert " = borrowed(" in ast.unparse(second), function.name

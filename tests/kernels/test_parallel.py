"""Work shared among threads: each unit once, in as many threads as torch has, come what may."""

from __future__ import annotations

import ast
import gc
import math
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import spikemnist
from spikemnist.kernels import openmp, scheduler
from spikemnist.kernels.compiler import kernel
from spikemnist.kernels.scheduler import (
    FORK,
    GRAIN,
    NUMBER,
    POOL_GRAIN,
    TAKEN,
    borrowed,
    by_team,
    next_unit,
    parallel,
    work_queues,
    worker_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("threads")


@kernel
def _visit(queue, units, visits, rounds):
    if by_team(queue):
        return
    visits = borrowed(visits)
    unit = next_unit(queue)
    while unit < units:
        for _ in range(rounds):
            visits[unit] += 1
        unit = next_unit(queue)


class Interpreted:
    """A kernel in Python that passes for a compiled one, of which a queue is atomic."""

    def __init__(self, work: Callable[[int], object]) -> None:
        self.py_func = work
        self.calls: list[tuple[int, int, str]] = []
        self.lock = threading.Lock()
        self.overloads: dict[str, str] = {}

    def __call__(self, queue: np.ndarray, units: int) -> None:
        self.calls.append((queue[FORK], queue[1], threading.current_thread().name))
        while (unit := self.take(queue)) < units:
            self.py_func(unit)

    def take(self, queue: np.ndarray) -> int:
        with self.lock:
            return take_next(queue)


@numba.njit
def take_next(queue):
    """Call a piece of kernels, which Python cannot."""
    return next_unit(queue)


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where torch's own threads are not to be had."""
    monkeypatch.setattr(openmp, "team_addresses", lambda: openmp.NO_TEAM)


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in torch's own threads, however crowded the machine is."""
    if openmp.team_addresses() == openmp.NO_TEAM:
        pytest.skip("torch's threads are to be had where it brings the only GNU OpenMP runtime")
    monkeypatch.setattr(scheduler, "STALL", math.inf)
    monkeypatch.setattr(scheduler, "_crowded_until", 0.0)


@pytest.fixture(params=["team", "pooled"])
def where(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


@pytest.mark.usefixtures("where")
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("units", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("work", [0, GRAIN - 1, GRAIN, POOL_GRAIN])
def test_each_unit_is_done_once(count: int, units: int, work: int) -> None:
    torch.set_num_threads(count)
    visits = np.zeros(max(units, 1), np.int64)
    for _ in range(20):
        parallel(_visit, units, visits, 50, work=work)
    assert (visits == 20 * 50 * (units > 0)).all()
    assert torch.get_num_threads() == count


class Pair(NamedTuple):
    number: float
    rows: tuple[np.ndarray, np.ndarray]


@kernel
def _copy(queue, units, pair):
    if by_team(queue):
        return
    pair = borrowed(pair)
    unit = next_unit(queue)
    while unit < units:
        source, target = pair.rows[0][unit], pair.rows[1][unit]
        target[:] = pair.number * source
        unit = next_unit(queue)


@pytest.mark.usefixtures("where")
def test_what_a_kernel_borrows_it_leaves_to_its_owner() -> None:
    torch.set_num_threads(4)
    source, target = np.arange(300.0).reshape(100, 3), np.zeros((100, 3))
    before = sys.getrefcount(source), sys.getrefcount(target)
    for _ in range(20):
        parallel(_copy, 100, Pair(2.0, (source, target)))
    assert np.array_equal(target, 2 * source)
    gc.collect()  # what compiled them
    deadline = time.monotonic() + 60  # until the helpers have seen that they were not needed
    while (sys.getrefcount(source), sys.getrefcount(target)) != before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize(
    ("count", "units", "work"),
    [(1, 100, POOL_GRAIN), (8, 1, POOL_GRAIN), (8, 0, POOL_GRAIN), (8, 100, POOL_GRAIN - 1)],
)
def test_little_work_is_done_right_here(count: int, units: int, work: int) -> None:
    torch.set_num_threads(count)
    found = Interpreted(lambda unit: None)
    parallel(found, units, work=work)
    assert found.calls == [(0, 1, threading.current_thread().name)]


def test_less_work_is_worth_a_team(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    monkeypatch.setattr(openmp, "team_addresses", lambda: (1234, 0))
    monkeypatch.setattr(scheduler, "_crowded_until", 0.0)
    for work, fork in ((GRAIN - 1, 0), (GRAIN, 1234)):
        found = Interpreted(lambda unit: None)
        parallel(found, 2, work=work)
        assert {called for called, _, _ in found.calls} == {fork}


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize(("count", "units", "used"), [(2, 100, 2), (8, 100, 8), (8, 3, 3)])
def test_as_many_threads_work_as_torch_has(count: int, units: int, used: int) -> None:
    torch.set_num_threads(count)
    here = threading.Barrier(used)
    names = set()

    def work(unit: int) -> None:
        name = threading.current_thread().name
        if name not in names:
            names.add(name)
            here.wait(timeout=60)  # until so many are at it at once

    parallel(Interpreted(work), units)
    assert len(names) == used


def test_what_is_not_compiled_runs_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where compilation is switched off a queue is not atomic: two could take the same unit."""
    monkeypatch.setattr(openmp, "team_addresses", lambda: (1, 0))
    torch.set_num_threads(8)
    calls = []
    parallel(lambda *arguments: calls.append(arguments), 100)
    ((queue, units),) = calls
    assert queue.tolist() == work_queues(1, 100)[0].tolist()
    assert units == 100


def in_helpers_alone(unit: int) -> bool:
    return threading.current_thread() is not threading.main_thread()


def in_the_caller_alone(unit: int) -> bool:
    return threading.current_thread() is threading.main_thread()


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize("where", [in_helpers_alone, in_the_caller_alone, lambda unit: True])
def test_an_exception_arrives_and_the_threads_live_on(where: Callable[[int], bool]) -> None:
    torch.set_num_threads(3)
    here, begun = threading.Barrier(3), set()

    def fail(unit: int) -> None:
        if threading.current_thread() not in begun:
            begun.add(threading.current_thread())
            here.wait(timeout=60)
        if where(unit):
            raise ZeroDivisionError(f"unit {unit}")

    for _ in range(3):
        begun.clear()
        with pytest.raises(ZeroDivisionError, match="unit"):
            parallel(Interpreted(fail), 100)
    visits = np.zeros(100, np.int64)
    parallel(_visit, 100, visits, 1)
    assert (visits == 1).all()
    test_as_many_threads_work_as_torch_has(3, 100, 3)


@pytest.mark.usefixtures("pooled")
def test_after_an_exception_nobody_is_still_at_work() -> None:
    """The caller may give up the memory that the helpers write to."""
    torch.set_num_threads(2)
    here, ended = threading.Barrier(2), []

    def work(unit: int) -> None:
        here.wait(timeout=60)
        if threading.current_thread() is threading.main_thread():
            raise ZeroDivisionError
        time.sleep(0.05)
        ended.append(unit)

    with pytest.raises(ZeroDivisionError):
        parallel(Interpreted(work), 2)
    assert len(ended) == 1


@pytest.mark.usefixtures("pooled")
def test_work_within_work_goes_on() -> None:
    """Helpers that wait for helpers would wait for ever."""
    torch.set_num_threads(2)
    visits = np.zeros(40, np.int64)

    def nested(unit: int) -> None:
        parallel(_visit, 10, visits[10 * unit : 10 * unit + 10], 1)

    parallel(Interpreted(nested), 4)
    assert (visits == 1).all()


@pytest.mark.usefixtures("pooled")
def test_nobody_waits_for_helpers_that_are_busy_elsewhere() -> None:
    torch.set_num_threads(2)
    released, both = threading.Event(), threading.Barrier(3)

    def hold(unit: int) -> None:
        both.wait(timeout=60)
        assert released.wait(timeout=60)

    def elsewhere() -> None:
        torch.set_num_threads(2)
        parallel(Interpreted(hold), 2)

    other = threading.Thread(target=elsewhere)
    other.start()
    both.wait(timeout=60)  # now it and the one helper are held
    visits = np.zeros(10, np.int64)
    parallel(_visit, 10, visits, 1)
    assert (visits == 1).all()
    assert other.is_alive()
    released.set()
    other.join(timeout=60)
    assert not other.is_alive()


@pytest.mark.usefixtures("pooled")
def test_helpers_that_never_began_keep_no_array_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_pool", scheduler._NO_POOL)
    torch.set_num_threads(2)
    busy = threading.Event()
    blocker = scheduler._pool_of(1).submit(busy.wait)  # and so the helper waits in the queue
    try:
        visits = np.zeros(100, np.int64)
        gone = weakref.ref(visits)
        parallel(_visit, 100, visits, 1)
        assert visits.all()
        del visits
        assert gone() is None
    finally:
        busy.set()
        blocker.result()


@pytest.mark.usefixtures("pooled")
def test_there_is_one_pool_which_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "_pool", scheduler._NO_POOL)
    others = threading.active_count()
    for count in (2, 5, 3, 5, 2):
        torch.set_num_threads(count)
        visits = np.zeros(100, np.int64)
        parallel(_visit, 100, visits, 100)
        assert (visits == 100).all()
    assert scheduler._pool[0] == 4
    deadline = time.monotonic() + 30
    while threading.active_count() > others + 4 and time.monotonic() < deadline:
        time.sleep(0.01)  # threads of the former pool end
    assert threading.active_count() <= others + 4


def test_on_a_crowded_machine_the_team_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A team waits for all of its threads; it is tried again later."""
    torch.set_num_threads(2)
    now = [100.0]
    monkeypatch.setattr(openmp, "team_addresses", lambda: (1234, 0))
    monkeypatch.setattr(scheduler, "_crowded_until", 0.0)
    monkeypatch.setattr(scheduler.time, "perf_counter", lambda: now[0])

    def forks(seconds: float, *, compiles: bool = False) -> set[int]:
        def work(unit: int) -> None:
            now[0] += seconds
            if compiles:
                found.overloads["signature"] = "code"

        found = Interpreted(work)
        parallel(found, 2, work=GRAIN)
        return {fork for fork, _, _ in found.calls}

    assert forks(0.0) == {1234}
    assert forks(60.0, compiles=True) == {1234}
    assert forks(scheduler.STALL) == {1234}  # waited for longer than the work explains
    assert forks(0.0) == {0}
    now[0] += scheduler.RETRY / 2
    assert forks(0.0) == {0}
    now[0] += scheduler.RETRY
    assert forks(0.0) == {1234}


def test_one_thread_takes_the_units_in_their_order() -> None:
    (queue,) = work_queues(1, 4)
    assert [take_next(queue) for _ in range(6)] == [0, 1, 2, 3, 4, 4]


def test_a_thread_takes_what_is_its_own_and_then_helps_the_next() -> None:
    first, second, third = work_queues(3, 8)
    assert [take_next(queue) for queue in (third, first, third, second)] == [5, 0, 6, 2]
    assert [take_next(third) for _ in range(6)] == [7, 1, 3, 4, 8, 8]
    assert take_next(first) == take_next(second) == 8


@given(st.integers(1, 70), st.integers(0, 200), st.data())
def test_every_unit_is_taken_once(workers: int, units: int, data: st.DataObject) -> None:
    table = work_queues(workers, units)
    order = data.draw(st.lists(st.integers(0, workers - 1), min_size=units, max_size=units))
    assert sorted(take_next(table[worker]) for worker in order) == list(range(units))
    assert all(take_next(queue) == units for queue in table)


def test_what_threads_write_is_no_neighbour_of_what_others_use() -> None:
    """A cache line that one core writes, of 128 bytes at most, is lost to the others."""
    table = work_queues(3, 8)
    addresses = np.arange(table.size).reshape(table.shape) * table.itemsize
    written, read = addresses[:, TAKEN], addresses[:, : NUMBER + 1]
    assert np.diff(written).min() >= 128
    assert np.abs(read.reshape(-1, 1) - written).min() >= 128


@kernel
def _enter(queue, units, entered):
    if by_team(queue):
        return
    entered = borrowed(entered)
    entered[worker_number(queue)] += 1


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize("count", [2, 3, 8])
def test_each_thread_of_a_team_has_a_lane_of_its_own(count: int) -> None:
    torch.set_num_threads(count)
    entered = np.zeros(count, np.int64)
    for _ in range(20):
        parallel(_enter, count, entered)
    assert (entered == 20).all()


@pytest.mark.usefixtures("pooled")
@pytest.mark.parametrize("count", [2, 3, 8])
def test_each_thread_of_a_pool_has_a_lane_of_its_own(count: int) -> None:
    """The first is the caller's, as with teams and with torch's operators."""
    torch.set_num_threads(count)
    here, units = threading.Barrier(count), {}

    def work(unit: int) -> None:
        units[unit] = threading.current_thread()
        here.wait(timeout=60)

    parallel(Interpreted(work), count)
    assert len(set(units.values())) == count
    assert units[0] is threading.main_thread()


def test_every_kernel_begins_with_the_team_and_borrows() -> None:
    """One that did not would work alone, or slowly, and nobody would notice but by the time."""
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

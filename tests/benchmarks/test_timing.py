"""Order of the timed calls, their statistics, and the load of the machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from benchmarks import timing
from benchmarks.timing import others_took, processor_share, summarize, time_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Time that passes only in a job."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only jobs advance, on a quiet machine."""
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    shares(monkeypatch, 1.0)
    return clock


def shares(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """Let the load of each round be these shares; the last one repeats."""
    left = list(values)
    monkeypatch.setattr(
        timing, "processor_share", lambda: left.pop(0) if len(left) > 1 else left[0]
    )


def job(clock: Clock, seconds: list[float], calls: list[str], name: str) -> Callable[[], None]:
    """Return a job whose calls take these seconds; the last one repeats."""

    def run() -> None:
        calls.append(name)
        clock.now += seconds.pop(0) if len(seconds) > 1 else seconds[0]

    return run


def test_each_turn_begins_with_an_untimed_call(clock: Clock) -> None:
    calls: list[str] = []
    # An untimed round, then two turns of one untimed and three timed calls.
    first = [50.0, 40.0, 1.0, 2.0, 3.0, 30.0, 4.0, 5.0, 6.0]
    jobs = {"a": job(clock, first, calls, "a"), "b": job(clock, [7.0], calls, "b")}
    timings = time_in_turn(jobs, repeats=6)
    assert "".join(calls) == "ab" + 2 * ("aaaa" + "bbbb")
    assert (timings["a"]["median"], timings["a"]["quartiles"]) == (3.5, [1.75, 5.25])
    assert (timings["b"]["median"], timings["b"]["calls"]) == (7, 6)


def test_the_budget_is_kept_after_six_calls(clock: Clock) -> None:
    jobs = {name: job(clock, [1.0], [], name) for name in "ab"}
    assert time_in_turn(jobs, repeats=300, budget=0.5)["a"]["calls"] == 6
    # A round of both takes 8 seconds: the fourth begins at 24, the fifth would at 32.
    assert time_in_turn(jobs, repeats=300, budget=25)["b"]["calls"] == 12


def test_a_disturbed_round_is_repeated(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shares(monkeypatch, 1.0, 0.3, 0.95)
    seconds = [1.0, *4 * [1.0], *4 * [50.0], 1.0]
    timed = time_in_turn({"a": job(clock, seconds, [], "a")}, repeats=9)["a"]
    assert (timed["calls"], timed["quartiles"]) == (9, [1, 1])
    assert timed["busy"] == ""
    assert timed["share"] == pytest.approx((1.0 + 0.95 + 0.95) / 3)


def test_rounds_on_a_busy_machine_are_repeated_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares(monkeypatch, 0.25)
    calls: list[str] = []
    timed = time_in_turn({"a": job(clock, [1.0], calls, "a")}, repeats=6)["a"]
    assert len(calls) == 1 + 4 * 4
    assert timed["busy"] == "other programs took 75 % of the processors"


def test_distant_quartiles_mean_a_busy_machine() -> None:
    assert summarize((1.0, 1.0, 1.1, 1.1, 1.2, 1.2))["busy"] == ""
    busy = summarize((1.0, 1.0, 1.0, 2.0, 2.0, 2.0))["busy"]
    assert busy == "half of the calls took from 1000 to 2000 ms"


@pytest.mark.parametrize(("used", "expected"), [(2.0, 1.0), (0.5, 0.25)])
def test_share_is_processor_time_per_elapsed_time(
    monkeypatch: pytest.MonkeyPatch, used: float, expected: float
) -> None:
    """Two threads work for one second."""

    class Clocks:
        def __init__(self) -> None:
            self.slept = False

        def sleep(self, _: float) -> None:
            time.sleep(0.01)
            self.slept = True

        def perf_counter(self) -> float:
            return float(self.slept)

        def process_time(self) -> float:
            return used * self.slept

    monkeypatch.setattr(timing, "time", Clocks())
    monkeypatch.setattr(timing.torch, "get_num_threads", lambda: 2)
    assert processor_share() == expected


@pytest.mark.parametrize(("share", "quiet"), [(1.02, True), (0.9, True), (0.89, False)])
def test_a_quiet_machine_has_at_least_nine_tenths(share: float, quiet: bool) -> None:
    assert (others_took(share) == "") == quiet

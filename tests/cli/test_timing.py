"""Who is called when, what the clock sees of it, and what a busy machine makes of it."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import pytest

from spikemnist.cli import timing
from spikemnist.cli.timing import others_took, processor_share, summarize, time_in_turn

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Time that passes only when a job says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock of its own on a machine that does nothing else."""
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    monkeypatch.setattr(timing, "processor_share", lambda: 1.0)
    return clock


def shares(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """Let the load be these shares, round after round, the last one for ever."""
    left = list(values)
    monkeypatch.setattr(
        timing, "processor_share", lambda: left.pop(0) if len(left) > 1 else left[0]
    )


def job(clock: Clock, seconds: list[float], calls: list[str], name: str) -> Callable[[], None]:
    """Return a job that takes the next of ``seconds`` each time, the last one for ever."""

    def run() -> None:
        calls.append(name)
        clock.now += seconds.pop(0) if len(seconds) > 1 else seconds[0]

    return run


def test_turns_begin_with_a_call_that_is_not_timed(clock: Clock) -> None:
    calls: list[str] = []
    # The round before all others, then two turns of one untimed and three timed calls.
    first = [50.0, 40.0, 1.0, 2.0, 3.0, 30.0, 4.0, 5.0, 6.0]
    jobs = {"a": job(clock, first, calls, "a"), "b": job(clock, [7.0], calls, "b")}
    timings = time_in_turn(jobs, repeats=6)
    assert "".join(calls) == "ab" + 2 * ("aaaa" + "bbbb")
    assert (timings["a"]["median"], timings["a"]["quartiles"]) == (3.5, [1.75, 5.25])
    assert (timings["b"]["median"], timings["b"]["calls"]) == (7, 6)


def test_the_budget_ends_it_but_not_before_six_calls(clock: Clock) -> None:
    calls: list[str] = []
    jobs = {name: job(clock, [1.0], calls, name) for name in "ab"}
    assert time_in_turn(jobs, repeats=300, budget=0.5)["a"]["calls"] == 6
    # A round of both takes 8 seconds: the fourth begins at 24, the fifth would at 32.
    assert time_in_turn(jobs, repeats=300, budget=25)["b"]["calls"] == 12
    assert time_in_turn(jobs, repeats=8)["b"]["calls"] == 9


def test_a_disturbed_round_is_repeated(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shares(monkeypatch, 1.0, 0.3, 0.95)
    seconds = [1.0, *4 * [1.0], *4 * [50.0], 1.0]
    found = time_in_turn({"a": job(clock, seconds, [], "a")}, repeats=9)["a"]
    assert (found["calls"], found["quartiles"]) == (9, [1, 1])
    assert found["busy"] == ""
    assert found["share"] == pytest.approx((1.0 + 0.95 + 0.95) / 3)


def test_a_busy_machine_is_told_from_a_quiet_one(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However even the seconds are: a program that always takes its share slows all calls alike."""
    shares(monkeypatch, 0.25)
    calls: list[str] = []
    found = time_in_turn({"a": job(clock, [1.0], calls, "a")}, repeats=6)["a"]
    assert len(calls) == 1 + 4 * 4  # each round repeated once, and no more
    assert found["busy"] == "other programs took 75 % of the processors"
    assert found["share"] == 0.25


def test_repeats_for_a_busy_machine_end_with_the_budget(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares(monkeypatch, 0.25)
    found = time_in_turn({"a": job(clock, [1.0], [], "a")}, repeats=300, budget=10)["a"]
    assert found["calls"] == 9


def test_two_undisturbed_rounds_are_enough(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shares(monkeypatch, 0.2, 1.0, 0.2, 1.0, 0.2)
    seconds = [1.0, *4 * [9.0], *4 * [1.0], *4 * [9.0], *4 * [1.0], 9.0]
    found = time_in_turn({"a": job(clock, seconds, [], "a")}, repeats=9)["a"]
    assert (found["calls"], found["quartiles"]) == (6, [1, 1])
    assert found["busy"] == ""


def test_quartiles_far_apart_are_a_busy_machine_as_well() -> None:
    assert summarize((1.0, 1.0, 1.1, 1.1, 1.2, 1.2))["busy"] == ""
    found = summarize((1.0, 1.0, 1.0, 2.0, 2.0, 2.0))
    assert found["busy"] == "half of the calls took from 1000 to 2000 ms"


def test_nobody_takes_no_time(clock: Clock) -> None:
    assert time_in_turn({}, repeats=6) == {}


def test_too_few_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match="repeats must be at least 6; got 5"):
        time_in_turn({}, repeats=5)


def test_one_disturbed_call_moves_neither_median_nor_quartiles_far() -> None:
    seconds = (1.0, 1.1, 0.9, 1.0, 1.05, 60.0, 0.95)
    found = summarize(seconds)
    assert found["median"] == statistics.median(seconds) == 1.0
    low, high = found["quartiles"]
    assert 0.9 <= low <= found["median"] <= high <= 1.1


@pytest.mark.parametrize(("used", "expected"), [(2.0, 1.0), (0.5, 0.25)])
def test_the_share_is_processor_time_over_time(
    monkeypatch: pytest.MonkeyPatch, used: float, expected: float
) -> None:
    """Two threads ask for two processors during one second, and get so much time."""

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


def test_the_real_share_is_of_all_threads() -> None:
    """A thread that waits takes nothing; here all work, so that there is something to see."""
    assert 0 < processor_share() < 1.5


@pytest.mark.parametrize(("share", "quiet"), [(1.02, True), (0.9, True), (0.89, False)])
def test_a_tenth_may_go_to_other_programs(share: float, quiet: bool) -> None:
    assert (others_took(share) == "") == quiet

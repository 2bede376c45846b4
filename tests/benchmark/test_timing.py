"""Who is called when, and what the clock sees of it."""

from __future__ import annotations

import statistics

import pytest

from spikemnist.benchmark import Job, Timing, time_in_turn, timing


class Clock:
    """Time that passes only when a job says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def job(clock: Clock, seconds: list[float], calls: list[str], name: str) -> Job:
    """Return a job that takes the next of ``seconds`` each time, the last one for ever."""

    def run(_: object) -> None:
        calls.append(name)
        clock.now += seconds.pop(0) if len(seconds) > 1 else seconds[0]

    return Job(run)


def test_turns_begin_with_a_call_that_is_not_timed(clock: Clock) -> None:
    calls: list[str] = []
    # The round before all others, then two turns of one untimed and three timed calls.
    first = [50.0, 40.0, 1.0, 2.0, 3.0, 30.0, 4.0, 5.0, 6.0]
    jobs = {"a": job(clock, first, calls, "a"), "b": job(clock, [7.0], calls, "b")}
    timings = time_in_turn(jobs, repeats=6)
    assert "".join(calls) == "ab" + 2 * ("aaaa" + "bbbb")
    assert timings["a"].seconds == (1, 2, 3, 4, 5, 6)
    assert timings["b"].seconds == (7, 7, 7, 7, 7, 7)


def test_preparation_is_not_timed(clock: Clock) -> None:
    def prepare() -> str:
        clock.now += 100
        return "ready"

    def run(prepared: str) -> None:
        assert prepared == "ready"
        clock.now += 1

    timings = time_in_turn({"a": Job(run, prepare)}, repeats=6)
    assert timings["a"].seconds == (1,) * 6


def test_the_budget_ends_it_but_not_before_six_calls(clock: Clock) -> None:
    calls: list[str] = []
    jobs = {name: job(clock, [1.0], calls, name) for name in "ab"}
    assert len(time_in_turn(jobs, repeats=300, budget=0.5)["a"].seconds) == 6
    # A round of both takes 8 seconds: the fourth begins at 24, the fifth would at 32.
    assert len(time_in_turn(jobs, repeats=300, budget=25)["b"].seconds) == 12
    assert len(time_in_turn(jobs, repeats=8)["b"].seconds) == 9


def test_nobody_takes_no_time() -> None:
    assert time_in_turn({}, repeats=6) == {}


def test_too_few_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match="repeats must be at least 6; got 5"):
        time_in_turn({}, repeats=5)


def test_one_disturbed_call_moves_neither_median_nor_quartiles_far() -> None:
    seconds = (1.0, 1.1, 0.9, 1.0, 1.05, 60.0, 0.95)
    timing = Timing(seconds)
    assert timing.median == statistics.median(seconds) == 1.0
    low, high = timing.quartiles
    assert 0.9 <= low <= timing.median <= high <= 1.1

"""Who is called when, what the clock sees of it, and what a busy machine makes of it."""

from __future__ import annotations

import statistics
import time

import pytest

from spikemnist.benchmark import Job, Timing, compare, machine, plain, time_in_turn, timing
from spikemnist.benchmark.machine import others_took, processor_share
from spikemnist.benchmark.oracle import Verdict


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


@pytest.mark.parametrize("limit", [-1.0, 0.5, 3.5, 10.5])
def test_the_limit_ends_it_whatever_has_been_timed(clock: Clock, limit: float) -> None:
    calls: list[str] = []
    jobs = {name: job(clock, [1.0], calls, name) for name in "ab"}
    assert time_in_turn(jobs, repeats=6, limit=limit) == {}
    assert clock.now <= max(limit, 0) + 1  # the call that runs is not broken off


def test_the_limit_keeps_the_rounds_that_were_complete(clock: Clock) -> None:
    calls: list[str] = []
    jobs = {name: job(clock, [1.0], calls, name) for name in "ab"}
    assert len(time_in_turn(jobs, repeats=300, limit=29)["a"].seconds) == 9  # 2 + 3 x 8 seconds
    assert clock.now <= 30


def test_the_limit_of_a_comparison_is_shared_by_its_stages(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikemnist.benchmark import comparison

    class Someone:
        name, differs = "someone", ""

    monkeypatch.setattr(comparison, "time", clock)
    one = job(clock, [1.0], [], "someone")
    found = compare(
        [Someone()],  # type: ignore[list-item]
        {"someone": Verdict()},
        lambda _: {"first": one, "second": one},
        ("first", "second"),
        repeats=6,
        limit=12.5,
    )
    assert list(found["someone"]["stages"]) == ["first"]
    assert clock.now <= 13.5


def test_a_disturbed_round_is_repeated(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shares(monkeypatch, 1.0, 0.3, 0.95)
    seconds = [1.0, *4 * [1.0], *4 * [50.0], 1.0]
    found = time_in_turn({"a": job(clock, seconds, [], "a")}, repeats=9)["a"]
    assert found.seconds == (1,) * 9
    assert found.busy == ""
    assert found.share == pytest.approx((1.0 + 0.95 + 0.95) / 3)


def test_a_busy_machine_is_told_from_a_quiet_one(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However even the seconds are: a program that always takes its share slows all calls alike."""
    shares(monkeypatch, 0.25)
    calls: list[str] = []
    found = time_in_turn({"a": job(clock, [1.0], calls, "a")}, repeats=6)["a"]
    assert len(calls) == 1 + 4 * 4  # each round repeated once, and no more
    assert found.busy == "other programs took 75 % of the processors"
    assert plain(found)["busy"] == found.busy
    assert plain(found)["share"] == 0.25


def test_repeats_for_a_busy_machine_end_with_the_budget(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares(monkeypatch, 0.25)
    found = time_in_turn({"a": job(clock, [1.0], [], "a")}, repeats=300, budget=10)["a"]
    assert len(found.seconds) == 9


def test_two_undisturbed_rounds_are_enough(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shares(monkeypatch, 0.2, 1.0, 0.2, 1.0, 0.2)
    seconds = [1.0, *4 * [9.0], *4 * [1.0], *4 * [9.0], *4 * [1.0], 9.0]
    found = time_in_turn({"a": job(clock, seconds, [], "a")}, repeats=9)["a"]
    assert found.seconds == (1,) * 6
    assert found.busy == ""


def test_quartiles_far_apart_are_a_busy_machine_as_well() -> None:
    assert Timing((1.0, 1.0, 1.1, 1.1, 1.2, 1.2)).busy == ""
    assert (
        Timing((1.0, 1.0, 1.0, 2.0, 2.0, 2.0)).busy == "half of the calls took from 1000 to 2000 ms"
    )


def test_nobody_takes_no_time(clock: Clock) -> None:
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

    monkeypatch.setattr(machine, "time", Clocks())
    monkeypatch.setattr(machine.torch, "get_num_threads", lambda: 2)
    assert processor_share() == expected


def test_the_real_share_is_of_all_threads() -> None:
    """A thread that waits takes nothing; here all work, so that there is something to see."""
    assert 0 < processor_share() < 1.5


@pytest.mark.parametrize(("share", "quiet"), [(1.02, True), (0.9, True), (0.89, False)])
def test_a_tenth_may_go_to_other_programs(share: float, quiet: bool) -> None:
    assert (others_took(share) == "") == quiet

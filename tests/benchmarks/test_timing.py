"""Order of the timed calls, and the rounds that count on a busy machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks import timing
from benchmarks.timing import summarize, time_in_turn


class Clock:
    """Time that passes only in a job."""

    def __init__(self) -> None:
        self.now, self.calls = 0.0, ""

    def perf_counter(self) -> float:
        return self.now

    def job(self, name: str, *seconds: float) -> Callable[[], None]:
        """Return a job whose calls take these seconds; the last one repeats."""
        left = list(seconds)

        def run() -> None:
            self.calls += name
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_untimed_call_of_each_turn(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "processor_share", lambda: 1.0)
    first = clock.job("a", 50.0, 40.0, 1.0, 2.0, 3.0, 30.0, 4.0, 5.0, 6.0)
    timings = time_in_turn({"a": first, "b": clock.job("b", 7.0)}, repeats=6)
    assert clock.calls == "ab" + 2 * ("aaaa" + "bbbb")
    assert (timings["a"]["median"], timings["a"]["quartiles"]) == (3.5, [1.75, 5.25])
    assert (timings["b"]["median"], timings["b"]["calls"]) == (7, 6)


def test_repeated_round_after_a_disturbance(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([1.0, 0.3, 0.95, 0.95])
    monkeypatch.setattr(timing, "processor_share", lambda: next(shares))
    seconds = [1.0, *4 * [1.0], *4 * [50.0], 1.0]
    timed = time_in_turn({"a": clock.job("a", *seconds)}, repeats=9)["a"]
    assert (timed["calls"], timed["quartiles"], timed["busy"]) == (9, [1, 1], "")


def test_reason_of_a_busy_machine() -> None:
    assert summarize((1.0, 1.0, 1.1, 1.1, 1.2, 1.2))["busy"] == ""
    busy = summarize((1.0, 1.0, 1.0, 2.0, 2.0, 2.0))["busy"]
    assert busy == "half of the calls took from 1000 to 2000 ms"
    assert summarize((1.0, 1.0), share=0.25)["busy"] == "other programs took 75 % of the processors"

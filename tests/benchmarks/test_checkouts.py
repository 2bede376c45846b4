"""`python -m benchmarks.checkouts`: two checkouts in turn."""

from __future__ import annotations

from benchmarks import checkouts


def test_the_table_has_medians_of_both_sides_and_of_their_ratio() -> None:
    pairs = [(2.0, 1.0), (2.0, 3.0), (4.0, 4.0)]
    assert checkouts.table({"a row, inference": pairs}).splitlines()[2:] == [
        "| a row, inference | 2.000 | 3.000 | 1.000 | 0.500-1.500 |"
    ]


def test_every_row_is_a_network_that_trains_and_runs() -> None:
    stages = {row: checkouts._stages(row) for row in checkouts.ROWS}
    assert all(set(calls) == {"training step", "inference"} for calls in stages.values())
    for call in stages["batch 1, latency 784-1000-10"].values():
        call()

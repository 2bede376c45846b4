"""The record of a run, and its table."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import fields

from hypothesis import example, given
from hypothesis import strategies as st

from spikemnist.training import EpochMetrics, History

NAMES = [
    "epoch",
    "loss",
    "accuracy",
    "validation_loss",
    "validation_accuracy",
    "lr",
    "spikes_per_sample",
]
NUMBERS = st.floats(allow_nan=False)
ROWS = st.builds(
    EpochMetrics,
    epoch=st.integers(1, 10**6),
    loss=NUMBERS,
    accuracy=NUMBERS,
    validation_loss=st.none() | NUMBERS,
    validation_accuracy=st.none() | NUMBERS,
    lr=NUMBERS,
    spikes_per_sample=NUMBERS,
)


@given(st.lists(ROWS, max_size=5))
@example([EpochMetrics(1, 0.1 + 0.2, 1 / 3, None, None, 5e-324, 1.7976931348623157e308)])
@example([EpochMetrics(1, -0.0, float("inf"), 1e22, 1e-7, 0.0, 123456789.125)])
def test_the_table_reads_back_exactly(rows):
    history = History(rows)
    text = history.to_csv()
    assert len(history) == len(history.column("loss")) == len(rows)
    assert text.splitlines()[0].split(",") == NAMES == [f.name for f in fields(EpochMetrics)]
    assert text.count("\n") == len(rows) + 1
    assert "\r" not in text
    for row, line in zip(rows, csv.DictReader(io.StringIO(text)), strict=True):
        for name, cell in line.items():
            value = getattr(row, name)
            (shown,) = History([row]).column(name)
            if value is None:
                assert cell == ""
                assert math.isnan(shown)
            else:
                assert shown == value
                assert float(cell) == value
                assert math.copysign(1, float(cell)) == math.copysign(1, value)
        assert line["epoch"] == str(row.epoch)


def test_the_file_is_the_table_on_every_system(tmp_path):
    history = History([EpochMetrics(1, 0.5, 0.8, None, None, 1e-3, 40.0)])
    file = tmp_path / "new" / "metrics.csv"
    history.save_csv(file)
    assert file.read_bytes() == history.to_csv().encode()
    assert file.read_bytes().splitlines()[1] == b"1,0.5,0.8,,,0.001,40.0"
    history.epochs.append(EpochMetrics(2, 0.25, 0.9, 0.3, 0.85, 1e-3, 41.0))
    history.save_csv(str(file))
    assert file.read_bytes() == history.to_csv().encode()
    assert [path.name for path in file.parent.iterdir()] == ["metrics.csv"]


def rows(count: int) -> list[EpochMetrics]:
    return [
        EpochMetrics(i, 1 / i, 1 - 0.5 / i, None, None, 1e-3, 40.0) for i in range(1, count + 1)
    ]


def test_it_shows_the_columns_that_were_measured() -> None:
    assert repr(History(rows(2), seconds=[1.0, 2.5])).splitlines() == [
        "History of 2 epochs, 3.5 s",
        "  epoch    loss  accuracy     lr  spikes per sample",
        "      1  1.0000    50.00%  0.001               40.0",
        "      2  0.5000    75.00%  0.001               40.0",
    ]
    validated = EpochMetrics(1, 0.5, 0.8, 0.4, 0.88, 1e-3, 40.0)
    assert "validation accuracy" in repr(History([validated]))
    assert repr(History()) == "History of 0 epochs, 0.0 s"


def test_it_shows_both_ends_of_a_long_run() -> None:
    epochs = [line.split()[0] for line in repr(History(rows(100))).splitlines()[2:]]
    assert epochs == ["1", "2", "3", "4", "5", "...", "96", "97", "98", "99", "100"]
    assert History(rows(100))._repr_html_().count("<tr>") == 101

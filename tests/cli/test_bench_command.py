"""``spikemnist bench``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist.cli import bench, snntorch_loop
from tests.cli.command import answers, fields, spikemnist

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network and short turns."""
    for name, value in {"HIDDEN": 20, "NUM_STEPS": 4, "BATCH": 8}.items():
        monkeypatch.setattr(snntorch_loop, name, value)
    for name in ("SECONDS", "QUICK_SECONDS"):
        monkeypatch.setattr(bench, name, 0.001)


def test_a_table_of_medians_and_ratios(tmp_path: Path) -> None:
    printed = spikemnist("bench", cwd=tmp_path).stdout
    assert fields(printed)["network"] == "784-20-10, 4 timesteps, batch 8, with encoding"
    rows = re.findall(
        r"^cpu +(rate|latency|direct) +(training step|inference) +([\d.]+) +([\d.]+) +([\d.]+)$",
        printed,
        re.MULTILINE,
    )
    assert len(rows) == len(bench.CODES) * 2
    for *_, ours, theirs, ratio in rows:
        assert float(ratio) == pytest.approx(float(theirs) / float(ours), rel=0.05, abs=0.1)


def test_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bench, "CODES", ("rate",))
    (result,) = answers("bench", "--quick", cwd=tmp_path)
    assert result["threads"] == torch.get_num_threads()
    assert [row["stage"] for row in result["milliseconds"]] == ["training step", "inference"]
    for row in result["milliseconds"]:
        assert (row["device"], row["code"]) == ("cpu", "rate")
        assert row["ratio"] == row["snntorch"] / row["spikemnist"]


@pytest.mark.parametrize("code", ["latency", "direct"])  # rate draws random numbers
def test_both_networks_agree(code: str) -> None:
    ours, theirs = snntorch_loop.networks(code, "cpu")
    torch.testing.assert_close(ours["inference"](), theirs["inference"](), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours["training step"](), theirs["training step"]())
    scores = ours["inference"]()
    for _ in range(3):
        ours["training step"]()
    torch.testing.assert_close(ours["inference"](), scores, rtol=0, atol=0)

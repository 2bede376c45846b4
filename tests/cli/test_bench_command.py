"""``spikemnist bench``."""

from __future__ import annotations

import json
import re

import pytest
import torch

from spikemnist.cli import bench, main


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small network and short turns."""
    small = {"HIDDEN": 20, "NUM_STEPS": 4, "BATCH": 8, "SECONDS": 0.001, "QUICK_SECONDS": 0.001}
    for name, value in small.items():
        monkeypatch.setattr(bench, name, value)


def test_a_table_of_medians_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("784-20-10, 4 timesteps, batch 8, encoding included, ")
    rows = re.findall(
        r"^cpu +(rate|latency|direct) +(training step|inference) +([\d.]+) +([\d.]+) +([\d.]+)$",
        printed,
        re.MULTILINE,
    )
    assert len(rows) == len(bench.CODES) * 2
    for *_, ours, theirs, ratio in rows:
        assert float(ratio) == pytest.approx(float(theirs) / float(ours), rel=0.05, abs=0.1)


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "CODES", ("rate",))
    assert main(["bench", "--quick", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["threads"] == torch.get_num_threads()
    row = result["milliseconds"][0]
    assert (row["device"], row["code"], row["stage"]) == ("cpu", "rate", "training step")
    assert row["ratio"] == row["snntorch"] / row["spikemnist"]


@pytest.mark.parametrize("code", ["latency", "direct"])  # rate draws random numbers
def test_both_networks_agree(code: str) -> None:
    ours, theirs = bench.networks(code, "cpu")
    torch.testing.assert_close(ours["inference"](), theirs["inference"](), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours["training step"](), theirs["training step"]())
    scores = ours["inference"]()
    for _ in range(3):
        ours["training step"]()
    torch.testing.assert_close(ours["inference"](), scores, rtol=0, atol=0)

"""``spikemnist bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist.benchmark import Ours, Workload
from spikemnist.cli import bench, main

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Workload(hidden=20, num_steps=4, batch=8)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "WORKLOADS", (SMALL, Workload(code="direct", hidden=20, batch=8)))
    monkeypatch.setattr(bench, "SECONDS", 0.01)


def test_a_table_with_throughput_ratio_and_backend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "bench.json"
    assert main(["bench", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert stored["machine"]["threads"] == torch.get_num_threads()
    assert stored["machine"]["processor"] in printed
    assert len(stored["networks"]) == 2
    for network in stored["networks"]:
        ours = network["contestants"]["spikemnist auto"]
        theirs = network["contestants"]["snnTorch"]
        for stage in bench.STAGES:
            mine, other = ours["stages"][stage]["median"], theirs["stages"][stage]["median"]
            timesteps = network["batch"] * network["num_steps"]
            (line,) = (
                line
                for line in printed.splitlines()
                if f"{stage}" in line and f"{1e3 * mine:9.2f}" in line
            )
            assert f"{1e-3 * timesteps / mine:.0f} k" in line
            assert f"{other / mine:.1f}  {ours['backend']}" in line
    assert "rate, 784-20-10, T=4, batch 8" in printed


def test_no_speed_on_a_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unlike(Ours):
        def trace(self, spikes: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
            return [(fired, 1.01 * membrane) for fired, membrane in super().trace(spikes)]

    monkeypatch.setattr(bench, "Ours", Unlike)
    assert main(["bench"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("not shown: a membrane differs by") == 2
    assert "training step" not in printed


def test_a_folder_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--json", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("spikemnist: error: --json must name a file;")


def test_what_is_measured_by_default_is_the_base_point_in_every_code() -> None:
    from importlib import reload

    workloads = reload(bench).WORKLOADS
    assert {workload.code for workload in workloads} == {"rate", "latency", "direct"}
    assert all((workload.num_steps, workload.batch) == (25, 128) for workload in workloads)

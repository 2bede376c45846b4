"""``spikemnist bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist.benchmark import Ours, Workload, machine, milliseconds, timing
from spikemnist.cli import bench, main

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Workload(hidden=20, num_steps=4, batch=8)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks on a machine that does nothing else, as far as one can see."""
    monkeypatch.setattr(bench, "WORKLOADS", (SMALL, Workload(code="direct", hidden=20, batch=8)))
    monkeypatch.setattr(bench, "QUICK", (SMALL,))
    monkeypatch.setattr(bench, "REPEATS", 6)
    monkeypatch.setattr(timing, "WIDEST", float("inf"))
    load(monkeypatch, 1.0)


def load(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Let this process get a share of the processors."""
    for module in (timing, machine):
        monkeypatch.setattr(module, "processor_share", lambda: share)


def test_a_table_with_quartiles_throughput_ratio_and_backend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "bench.json"
    assert main(["bench", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert stored["machine"]["threads"] == torch.get_num_threads()
    assert stored["machine"]["processor"] in printed
    assert stored["machine"]["share"] == 1.0
    assert len(stored["networks"]) == 2
    for network in stored["networks"]:
        ours = network["contestants"]["spikemnist auto"]
        theirs = network["contestants"]["snnTorch"]
        for stage in bench.STAGES:
            mine, other = ours["stages"][stage], theirs["stages"][stage]
            times = network["ratios"][stage]["ratio"]
            assert times == other["median"] / mine["median"]
            assert network["ratios"][stage]["why"] == ""
            low, high = map(milliseconds, mine["quartiles"])
            cell = f"{milliseconds(mine['median'])} ({low} to {high})"
            (line,) = (line for line in printed.splitlines() if stage in line and cell in line)
            timesteps = network["batch"] * network["num_steps"]
            assert f"{1e-3 * timesteps / mine['median']:.0f} k/s" in line
            assert line.endswith(f" {times:.1f}")
        assert f"batch 8 ({ours['backend']})" in printed
    assert "rate, 784-20-10, T=4, batch 8" in printed
    assert "busy" not in printed
    assert max(map(len, printed.splitlines()[2:])) <= 100


def test_a_busy_machine_has_no_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load(monkeypatch, 0.4)
    file = tmp_path / "bench.json"
    assert main(["bench", "--quick", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    reason = "other programs took 60 % of the processors"
    assert f"\nthis machine is busy, no ratio: {reason}\n" in printed
    (network,) = json.loads(file.read_text(encoding="utf-8"))["networks"]
    for stage in bench.STAGES:
        (line,) = (line for line in printed.splitlines() if line.startswith(f"  {stage}"))
        assert line.endswith("    busy")
        assert network["ratios"][stage] == {"ratio": None, "why": reason}
        for found in network["contestants"].values():
            assert found["stages"][stage]["busy"] == reason


def test_time_is_up_on_whatever_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No call is begun after it; the networks that are left are not even set up."""
    load(monkeypatch, 0.1)
    monkeypatch.setattr(bench, "SECONDS", 1e-6)
    file = tmp_path / "bench.json"
    assert main(["bench", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("not measured: no time was left for it") == 2
    assert "this machine is busy, no ratio: other programs took 90 %" in printed
    for network in json.loads(file.read_text(encoding="utf-8"))["networks"]:
        assert network["contestants"] == {}
        assert network["ratios"]["inference"]["ratio"] is None


def test_a_stage_that_no_time_was_left_for_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = bench.compare
    monkeypatch.setattr(
        bench, "compare", lambda *given, **options: whole(*given, **{**options, "limit": 0.0})
    )
    assert main(["bench", "--quick"]) == 0
    line = "not measured: fewer than 6 calls in the time: the machine is busy, or slow\n"
    assert capsys.readouterr().out.count(line) == 2


def test_nothing_is_checked_once_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "Oracle", None)
    assert bench.measure(SMALL, 0.0, 0.0) == {}


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

    fresh = reload(bench)
    workloads = fresh.WORKLOADS
    assert set(fresh.QUICK) < set(workloads)
    assert fresh.QUICK_SECONDS < 20 < fresh.SECONDS <= 60
    assert {workload.code for workload in workloads} == {"rate", "latency", "direct"}
    assert all((workload.num_steps, workload.batch) == (25, 128) for workload in workloads)

"""Parts of ``python -m benchmarks``, which ``scripts/check docs`` runs on small networks."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest
import torch

from benchmarks import checkouts, commands, comparison, gpu, report, timing
from benchmarks.peers.dynamics import Dynamics
from benchmarks.peers.explicit_loop import ExplicitLoop
from benchmarks.readme import PUBLISHED
from benchmarks.workload import Workload
from spikemnist.models import LeakyMLP


def test_ratios_of_a_wrong_candidate_and_a_busy_machine() -> None:
    stored = json.loads((PUBLISHED / "results.json").read_text("utf-8"))
    network = next(one for one in stored["networks"] if Workload().sizes[1] == one["hidden"])
    peer = network["candidates"]["SpikingJelly"]
    peer["stages"], peer["check"]["why"] = {}, "a spike differs"
    ours = network["candidates"]["spikemnist auto"]["stages"]
    ours["training step"]["busy"] = "other programs took 60 % of the processors"
    stored["networks"] = [network]
    page = report.page(stored, [])
    assert "| all | 3 | 1.8 to 5.1 (1.8), 1 unsteady | 2.4 to 6.4 (2.6) | – |" in page
    first = f"| {Workload()} | event_driven |"
    rows = [line for line in page.splitlines() if line.startswith(first)]
    first_cell, second_cell = rows[0].split(" | ")[-2:]
    assert first_cell.endswith(", unsteady")
    assert second_cell.endswith("), unsteady |")
    assert "unsteady" not in rows[1]  # inference
    assert "- SpikingJelly, rate, 784-1000-10, T=25, batch 128: a spike differs." in page


def timed_here() -> dict[str, Any]:
    """Return a comparison whose time is the number of the process."""
    return {"snnTorch": {"stages": {"forward": timing.summarize(3 * [os.getpid()])}}}


@pytest.mark.slow
def test_timing_in_several_processes() -> None:
    found = comparison.in_processes(3, timed_here)["snnTorch"]["stages"]["forward"]
    assert os.getpid() not in found["processes"]
    assert len(set(found["processes"])) == 3
    assert (found["median"], found["calls"]) == (sorted(found["processes"])[1], 9)


def test_failed_check_in_one_process() -> None:
    failed = {"stages": {}, "check": {"why": "a spike differs"}}
    assert comparison.of_processes([timed_here()["snnTorch"], failed]) == failed


def test_range_of_the_ratios_of_processes() -> None:
    def result(*medians: float) -> dict[str, Any]:
        return {"stages": {"one timestep": {**timing.summarize(medians), "processes": medians}}}

    found = {"spikemnist auto": result(1.0, 1.0, 1.2), "snnTorch": result(10.0, 11.0, 12.0)}
    assert report.with_range(found, "snnTorch", "one timestep") == "11.0 (10.0 to 11.0)"


@pytest.mark.slow
def test_failing_command() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        commands.measure((f'{sys.executable} -c "raise SystemExit(3)"', 0))


def test_scores_of_candidates_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)
    torch.manual_seed(0)
    weights = LeakyMLP((20,), in_features=gpu.PIXELS, beta=gpu.BETA)
    spikes = (torch.rand(6, 4, gpu.PIXELS) < gpu.DENSITY).float()
    at_once = ExplicitLoop([layer.linear for layer in weights.layers], Dynamics(at_once=True))
    with torch.no_grad():
        expected = weights(spikes).scores
        others = {"SpikingJelly, reset at once": at_once.scores(spikes)}
        for name, build in gpu.candidates().items():
            _, scores = build(weights, torch.device("cpu"))
            torch.testing.assert_close(scores(spikes), others.get(name, expected), msg=name)


def test_table_of_gpu_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(timing, "processor_share", lambda: 1.0)  # no round is repeated
    found: dict[str, Any] = gpu.measure((16, 3, 8), on=torch.device("cpu"), repeats=6)
    page = "\n\n".join(gpu.lines([found]))
    for word in ("## Training step", "## Inference", "snnTorch", "| cpu | 16 | 3 | 8 |"):
        assert word in page


def test_table_of_two_checkouts() -> None:
    pairs = [(2.0, 1.0), (2.0, 3.0), (4.0, 4.0)]
    assert checkouts.table({"a row, inference": pairs}).splitlines()[2:] == [
        "| a row, inference | 2.000 | 3.000 | 1.000 | 0.500 to 1.500 |"
    ]
    for call in checkouts._stages("batch 1, latency 784-1000-10").values():
        call()

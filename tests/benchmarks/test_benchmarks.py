"""``python -m benchmarks`` from the measurement to the pages, on tiny networks."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from PIL import Image

from benchmarks import __main__, checkouts, commands, gpu, peers, report, stdp
from benchmarks.candidates import STAGES
from benchmarks.peers.dynamics import Dynamics
from benchmarks.peers.explicit_loop import ExplicitLoop
from benchmarks.plan import Plan
from benchmarks.workload import Workload
from spikemnist.models import LeakyMLP

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "benchmarks"
TINY = Plan(
    base=Workload(hidden=24, num_steps=4, batch=8),
    hidden=(24,),
    num_steps=(4, 6),
    batch=(8,),
    codes=("rate",),
    repeats=6,
    budget=0.01,
)


@pytest.fixture
def only_snntorch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave out the libraries that may be installed."""
    only = "snnTorch, hoisted"
    monkeypatch.setattr(peers, "PEERS", {only: peers.PEERS[only]})
    peers.installed.cache_clear()
    yield
    peers.installed.cache_clear()


def command(text: str) -> str:
    """Return a command that prints a text, and ignores its seed."""
    return f'{sys.executable} -c "print({text!r})"'


@pytest.mark.usefixtures("only_snntorch")
def test_from_the_command_line_to_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(__main__, "QUICK", TINY)
    line = command("test accuracy 97.00% of 1,000 images")
    words = ["--quick", "--codes", "rate", "--out", str(tmp_path), "--seeds", "7"]
    __main__.main([*words, "--sections", "networks", "commands", "--commands", line])
    (machine,) = re.findall(r"\n(.*threads?,.*)\n$", (tmp_path / "results.md").read_text("utf-8"))
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert results["runs"]["networks"]["machine"]["processor"] in machine
    assert len(results["networks"]) == 2
    for network in results["networks"]:
        for found in network["candidates"].values():
            assert found["check"]["why"] == ""
            assert list(found["stages"]) == list(STAGES)
    assert "| 97.00 ±\u00a00.54 | – | – | 1\u00a0x\u00a0– |" in (
        tmp_path / "accuracies.md"
    ).read_text("utf-8")
    with Image.open(tmp_path / "stages.png") as picture:
        assert min(picture.size) > 300


def test_the_published_results_page() -> None:
    stored = json.loads((PUBLISHED / "results.json").read_text("utf-8"))
    page = (PUBLISHED / "results.md").read_text("utf-8")
    assert report.page(stored, re.findall(r"\{figure\} (.*)", page)) == page


def test_a_wrong_candidate_and_a_busy_machine_have_no_ratio() -> None:
    stored = json.loads((PUBLISHED / "results.json").read_text("utf-8"))
    network = next(one for one in stored["networks"] if Workload().sizes[1] == one["hidden"])
    peer = network["candidates"]["SpikingJelly"]
    peer["stages"], peer["check"]["why"] = {}, "a spike differs"
    ours = network["candidates"]["spikemnist auto"]["stages"]
    ours["training step"]["busy"] = "other programs took 60 % of the processors"
    stored["networks"] = [network]
    page = report.page(stored, [])
    first = f"| {Workload()} | event_driven |"
    rows = [line for line in page.splitlines() if line.startswith(first)]
    assert rows[0].endswith("| unsteady | unsteady |")
    assert "unsteady" not in rows[1]  # inference
    assert "- SpikingJelly, rate, 784-1000-10, T=25, batch 128: a spike differs." in page


def test_learning_by_stdp_is_measured() -> None:
    plan = replace(TINY, stdp_neurons=(20,), stdp_rates=(), stdp_blocks=1)
    (point,) = stdp.points(plan)
    found = stdp.measured_here(point)
    assert min(found["learn"], found["respond"], found["spikes"], found["fired"]) > 0


def test_a_command_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        commands.measure((f'{sys.executable} -c "raise SystemExit(3)"', 0))


def test_candidates_on_a_gpu_have_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)
    torch.manual_seed(0)
    weights = LeakyMLP(gpu.PIXELS, (20,), beta=gpu.BETA)
    spikes = (torch.rand(6, 4, gpu.PIXELS) < gpu.DENSITY).float()
    at_once = ExplicitLoop([layer.linear for layer in weights.layers], Dynamics(at_once=True))
    with torch.no_grad():
        expected = weights(spikes).scores
        others = {"SpikingJelly, reset at once": at_once.scores(spikes)}
        for name, build in gpu.candidates().items():
            _, scores = build(weights, torch.device("cpu"))
            torch.testing.assert_close(scores(spikes), others.get(name, expected), msg=name)


def test_a_table_of_gpu_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: function)
    found: dict[str, Any] = gpu.measure((16, 3, 8), on=torch.device("cpu"), repeats=6)
    page = "\n\n".join(gpu.lines([found]))
    for word in ("## Training step", "## Inference", "snnTorch", "| cpu | 16 | 3 | 8 |"):
        assert word in page


def test_the_table_of_two_checkouts() -> None:
    pairs = [(2.0, 1.0), (2.0, 3.0), (4.0, 4.0)]
    assert checkouts.table({"a row, inference": pairs}).splitlines()[2:] == [
        "| a row, inference | 2.000 | 3.000 | 1.000 | 0.500 to 1.500 |"
    ]
    for call in checkouts._stages("batch 1, latency 784-1000-10").values():
        call()

"""``spikemnist bench``."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch

from spikemnist.cli import bench, main, timing
from spikemnist.models import LeakyMLP

FIRST = "rate, 784-20-10, T=4, batch 8"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks on a machine that does nothing else, as far as one can see."""
    monkeypatch.setattr(bench, "NETWORKS", (("rate", 20), ("direct", 20)))
    monkeypatch.setattr(bench, "QUICK", (("rate", 20),))
    monkeypatch.setattr(bench, "NUM_STEPS", 4)
    monkeypatch.setattr(bench, "BATCH", 8)
    monkeypatch.setattr(bench, "REPEATS", 6)
    monkeypatch.setattr(timing, "WIDEST", float("inf"))
    load(monkeypatch, 1.0)


def load(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Let this process get a share of the processors."""
    monkeypatch.setattr(timing, "processor_share", lambda: share)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return the list to which the figures of each network are added."""
    found: list[dict[str, Any]] = []
    measure = bench.Network.measure

    def measure_and_keep(network: bench.Network, budget: float) -> dict[str, Any]:
        found.append(measure(network, budget))
        return found[-1]

    monkeypatch.setattr(bench.Network, "measure", measure_and_keep)
    return found


def test_json_has_every_figure(
    measured: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    stored = json.loads(line)
    assert stored["networks"] == json.loads(json.dumps(measured))
    assert stored["machine"]["threads"] == torch.get_num_threads()
    assert stored["machine"]["share"] == 1.0
    assert set(stored["machine"]["packages"]) > {"spikemnist", "torch", "snntorch"}


def test_a_table_with_quartiles_throughput_ratio_and_backend(
    measured: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench"]) == 0
    printed = capsys.readouterr().out
    assert timing.describe_machine()["processor"] in printed
    assert [network["code"] for network in measured] == ["rate", "direct"]
    for network in measured:
        assert network["why"] == ""
        for stage in bench.STAGES:
            found = network["stages"][stage]
            ours, theirs = found["spikemnist"], found["snnTorch"]
            assert found["ratio"] == theirs["median"] / ours["median"]
            assert (found["why"], ours["calls"], theirs["calls"]) == ("", 6, 6)
            low, high = map(timing.milliseconds, ours["quartiles"])
            cell = f"{timing.milliseconds(ours['median'])} ({low} to {high})"
            (line,) = (line for line in printed.splitlines() if stage in line and cell in line)
            timesteps = network["batch"] * network["num_steps"]
            assert f"{1e-3 * timesteps / ours['median']:.0f} k/s" in line
            assert line.endswith(f" {found['ratio']:.1f}")
        assert f"batch 8 ({network['backend']})" in printed
    assert FIRST in printed
    assert "busy" not in printed
    assert max(map(len, printed.splitlines()[2:])) <= 100


def test_a_row_for_each_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second CPU, by a name of its own, stands in for a GPU."""
    monkeypatch.setattr(bench, "other_devices", lambda: ("cpu:0",))
    assert main(["bench", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert len(re.findall(r"^    on cpu:0 .*\d k/s$", printed, re.M)) == len(bench.STAGES)


def test_a_device_with_other_scores_has_no_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "other_devices", lambda: ("cpu:0",))
    network = bench.Network("rate", 20)
    with torch.no_grad():
        network.moved["cpu:0"].layers[1].linear.bias += 1
    assert network.measure(5)["why"] == "not shown: scores on cpu:0 differ in 8 of 8 samples"


def test_a_busy_machine_has_no_ratio(
    measured: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(monkeypatch, 0.4)
    assert main(["bench", "--quick"]) == 0
    printed = capsys.readouterr().out
    reason = "other programs took 60 % of the processors"
    assert f"\nno ratio, because this machine is busy: {reason}\n" in printed
    (network,) = measured
    for stage in bench.STAGES:
        (line,) = (line for line in printed.splitlines() if line.startswith(f"  {stage}"))
        assert line.endswith("    busy")
        found = network["stages"][stage]
        assert (found["ratio"], found["why"]) == (None, reason)
        assert found["spikemnist"]["busy"] == found["snnTorch"]["busy"] == reason


def test_nothing_begins_once_the_time_is_up(
    measured: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load(monkeypatch, 0.1)
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    monkeypatch.setattr(bench.Network, "check", None)
    assert main(["bench"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("not measured: no time was left for it") == 2
    assert "no ratio, because this machine is busy: other programs took 90 %" in printed
    assert [network["stages"] for network in measured] == [{}, {}]


def other_decay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LeakyMLP", lambda **options: LeakyMLP(**{**options, "beta": 0.9}))


def other_surrogate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bench, "LeakyMLP", lambda **options: LeakyMLP(**options, spike_grad="sigmoid")
    )


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (other_decay, r"not shown: spikes or scores differ in [1-8] of 8 samples"),
        (other_surrogate, r"not shown: the gradient differs by \S+ of its norm"),
    ],
)
def test_no_speed_on_a_wrong_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], spoil: Any, reason: str
) -> None:
    spoil(monkeypatch)
    assert main(["bench"]) == 0
    printed = capsys.readouterr().out
    found = [line for line in printed.splitlines() if line.startswith("  not")]
    assert len(found) == 2
    for line in found:
        assert re.fullmatch("  " + reason, line)
    assert "training step" not in printed


@pytest.mark.parametrize(("flipped", "passes"), [(1, True), (2, False)])
def test_one_sample_in_twenty_may_differ_by_rounding(
    monkeypatch: pytest.MonkeyPatch, flipped: int, passes: bool
) -> None:
    """The gradient is compared over the others."""
    monkeypatch.setattr(bench, "BATCH", 20)
    network = bench.Network("rate", 20)
    theirs = network.theirs.forward

    def other(spikes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fired, scores = theirs(spikes)
        return fired, scores + torch.cat([torch.ones(flipped, 1), torch.zeros(20 - flipped, 1)])

    monkeypatch.setattr(network.theirs, "forward", other)
    why, _ = network.check()
    assert (why == "") == passes


def test_snntorch_keeps_no_neuron_of_the_loop() -> None:
    from snntorch import SpikingNeuron

    before = list(SpikingNeuron.instances)
    bench.SnnTorchLoop([torch.nn.Linear(3, 2)])
    assert SpikingNeuron.instances == before


def test_what_is_measured_by_default_is_the_base_point_in_every_code() -> None:
    from importlib import reload

    fresh = reload(bench)
    assert set(fresh.QUICK) < set(fresh.NETWORKS)
    assert fresh.QUICK_SECONDS < 20 < fresh.SECONDS <= 60
    assert {code for code, _ in fresh.NETWORKS} == {"rate", "latency", "direct"}
    assert (fresh.NUM_STEPS, fresh.BATCH) == (25, 128)

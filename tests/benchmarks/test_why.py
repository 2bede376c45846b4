"""``python -m benchmarks.why`` on small networks and few digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks import why
from spikemnist import LeakyMLP, load_digits
from spikemnist.energy import TECHNOLOGIES
from spikemnist.models import LeakyConvNet


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = load_digits()
    monkeypatch.setattr(why, "SETS", {"digits": lambda: (train[:400], test[:50])})
    networks = {"784-20-10": lambda seed: LeakyMLP(20, threshold=0.2, seed=seed)}
    monkeypatch.setattr(why, "NETWORKS", networks)
    monkeypatch.setattr(why, "EPOCHS", 1)
    monkeypatch.setattr(why, "MEMORY", {"784-20-10": "8KB"})
    monkeypatch.setattr(why, "TRIED_WITH", 200)
    monkeypatch.setattr(why, "HELD_OUT", 100)


@pytest.mark.usefixtures("small")
def test_results_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "why.json"
    why.main(tmp_path)
    complete = file.read_text("utf-8")
    results: list[dict[str, Any]] = json.loads(complete)
    assert [one["kind"] for one in results] == list(why.KINDS)
    assert all({*one["runs"]} == {str(seed) for seed in why.SEEDS} for one in results)

    del results[-1], results[1]["runs"]["2"]
    file.write_text(json.dumps(results), "utf-8")
    calls: list[tuple[Any, ...]] = []
    measure = why.measure
    monkeypatch.setattr(why, "measure", lambda *case: calls.append(case) or measure(*case))
    why.main(tmp_path)
    assert file.read_text("utf-8") == complete
    assert [case[-1] for case in calls] == [2, 0, 1, 2]


@pytest.mark.usefixtures("small")
def test_energy_of_the_counted_operations() -> None:
    dense = 784 * 20 + 20 * 10
    chip = TECHNOLOGIES["45nm-fp32"]
    for kind in why.KINDS:
        for name, cost in why.measure("784-20-10", "digits", kind, 1e-2, 0)["costs"].items():
            actual = 1000 * cost["nanojoules"]
            assert actual == pytest.approx(chip.mac * cost["macs"] + chip.ac * cost["acs"])
            assert cost["nanojoules with memory"] > cost["nanojoules"]
            if name == "ann_dense":
                assert cost["macs"] == pytest.approx(dense)
            elif kind == why.ANN:
                assert cost["macs"] < dense / 2  # most pixels are black


def test_lowest_rate_within_a_standard_error() -> None:
    accuracies = {"0.001": 0.95, "0.003": 0.9792, "0.01": 0.9795, "0.03": 0.9793}
    assert why.chosen(accuracies) == 0.003
    assert why.chosen(accuracies | {"0.03": 0.99}) == 0.03


def test_ann_against_torch() -> None:
    spiking = LeakyMLP(20, seed=0)
    first, second = (layer.linear for layer in spiking.layers)
    plain = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second)
    images = load_digits()[1].images[:8]
    record = why.Rectified(spiking)(why.IMAGE(images))
    torch.testing.assert_close(record.scores, plain(images / 255))


def test_density_against_convolutions_of_ones() -> None:
    spiking = LeakyConvNet("3C3-P2-4C3-P2-10", batch_norm=True, seed=0).eval()
    images = load_digits()[1].images[:8]
    modules = [dict(layer.named_children()) for layer in spiking.network.children()]
    signal = why.IMAGE(images).transpose(0, 1)
    counts = torch.zeros(2)
    for number, here in enumerate(modules):
        if number == 1:
            ones = torch.ones_like(here["conv"].weight)
            both = (signal != 0).float(), torch.ones_like(signal)
            counts += torch.stack([functional.conv2d(x, ones).sum() for x in both])
        elif number == 2:
            counts += 10 * torch.tensor([(signal != 0).sum(), signal.numel()])
            break
        signal = here["pool"](here["norm"](here["conv"](signal))).relu()
    actual = why.density(why.Rectified(spiking), images)
    assert actual == pytest.approx(float(counts[0] / counts[1]))

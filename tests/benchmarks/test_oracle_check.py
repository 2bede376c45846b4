"""The comparison that every speed rests on: it allows rounding and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmarks import candidates
from benchmarks.candidates import SnnTorchLoop, plain_leaky
from benchmarks.oracle import MEMBRANE, Oracle, check_all, compare_runs
from benchmarks.peers.dynamics import Dynamics, atan
from benchmarks.peers.explicit_loop import ExplicitLoop
from benchmarks.workload import Workload, first_weights

WORKLOAD = Workload(hidden=40, num_steps=7, batch=6)
BATCH = WORKLOAD.load()
NEAR = MEMBRANE / 2


@pytest.fixture(scope="module")
def layers() -> list[nn.Linear]:
    """Return weights with which both layers fire."""
    layers = first_weights(WORKLOAD)
    for layer in layers:
        layer.weight.data.mul_(4)
    return layers


def test_candidates_against_the_oracle_of_their_dynamics(layers: list[nn.Linear]) -> None:
    built = [candidates.build(name, layers, WORKLOAD) for name in candidates.names()]
    assert [candidate.name for candidate in built] == candidates.names()
    checks = check_all(built, layers, BATCH.spikes, BATCH.labels)
    assert {name: check.why for name, check in checks.items() if check.why} == {}


@pytest.mark.parametrize(
    "other",
    [
        Dynamics(at_once=True),
        Dynamics(detached=False),
        Dynamics(derivative=lambda x: 0.5 * atan(x), surrogate="half as high"),
    ],
)
def test_oracle_against_other_dynamics(layers: list[nn.Linear], other: Dynamics) -> None:
    oracle = Oracle(SnnTorchLoop(layers), BATCH.spikes, BATCH.labels)
    assert oracle.check(ExplicitLoop(layers, Dynamics())).passed
    assert not oracle.check(ExplicitLoop(layers, other)).passed
    assert other.deviation


def test_oracle_against_another_surrogate(layers: list[nn.Linear]) -> None:
    wrong = SnnTorchLoop(layers, WORKLOAD)
    wrong._neurons[0].spike_grad = lambda x: plain_leaky().spike_grad(2 * x)
    oracle = Oracle(SnnTorchLoop(layers), BATCH.spikes, BATCH.labels)
    assert "the gradient differs by" in oracle.check(wrong).why


def run(membranes: list[list[float]]) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes ``[T, 1, N]`` of one layer, from one row for each neuron."""
    membrane = torch.tensor(membranes).T.unsqueeze(1)
    return (membrane > 1).float(), membrane


@pytest.mark.parametrize(
    ("right", "other", "why"),
    [
        ([0.5, 1 + NEAR, 0.2, 1.5], [0.5, 1 - NEAR, 1.2, 0.5], ""),  # what follows a flip differs
        ([0.5, 1 + NEAR], [0.6, 1 - NEAR], "a membrane differs by"),
        ([0.5, 1.3], [0.5, 0.7], "a membrane differs by"),
        ([0.5, float("nan")], [0.5, 0.7], "a membrane differs by"),
    ],
)
def test_flips_within_rounding(right: list[float], other: list[float], why: str) -> None:
    check, _ = compare_runs([run([other])], [run([right])])
    assert check.why.startswith(why)
    assert check.passed == (not why)

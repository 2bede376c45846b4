"""What peers are compared with: the explicit loop, and the registry that finds who is installed."""

from __future__ import annotations

import pytest
import torch

from benchmarks import candidates, peers
from benchmarks.candidates import Ours, SnnTorchLoop, TorchCandidate
from benchmarks.oracle import Oracle, check_all
from benchmarks.peers.dynamics import Dynamics, atan
from benchmarks.peers.explicit_loop import ExplicitLoop
from benchmarks.peers.snntorch_hoisted import SnnTorchHoisted
from benchmarks.workload import CODES, Workload, first_weights

SIZES = (30, 20, 5)


def spikes(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(9, 4, 30, generator=generator) < 0.4).to(torch.uint8)


def loud_layers() -> list[torch.nn.Linear]:
    layers = first_weights(SIZES)
    for layer in layers:
        layer.weight.data.mul_(3)
    return layers


def test_the_explicit_loop_is_snntorch_by_default() -> None:
    layers = loud_layers()
    oracle = Oracle(SnnTorchLoop(layers), spikes(), torch.tensor([0, 1, 2, 3]))
    check = oracle.check(ExplicitLoop(layers, Dynamics()))
    assert check.passed, check.why
    assert Dynamics().deviation == ""


@pytest.mark.parametrize(
    "other",
    [
        Dynamics(at_once=True),
        Dynamics(late=True),
        Dynamics(detached=False),
        Dynamics(derivative=lambda x: 0.5 * atan(x), surrogate="half as high"),
    ],
)
def test_each_difference_is_one(other: Dynamics) -> None:
    """A peer with other dynamics would not pass as snnTorch, and is told so in words."""
    layers = loud_layers()
    oracle = Oracle(SnnTorchLoop(layers), spikes(), torch.tensor([0, 1, 2, 3]))
    assert not oracle.check(ExplicitLoop(layers, other)).passed
    assert other.deviation


def test_a_reset_at_once_is_what_it_says() -> None:
    loop = ExplicitLoop(first_weights((1, 1)), Dynamics(at_once=True))
    current = torch.tensor([0.8, 0.8, 0.8]).view(3, 1, 1)
    found = loop.run_neurons(None, current, "both")
    # 0.8; 0.76 + 0.8 = 1.56 fires and keeps 0.56; 0.532 + 0.8 = 1.332 fires and keeps 0.332
    assert found["spikes"].flatten().tolist() == [0, 1, 1]
    assert found["membrane"].flatten().tolist() == pytest.approx([0.8, 0.56, 0.332])
    decided = loop.dynamics.decided(found["spikes"], found["membrane"])
    assert decided.flatten().tolist() == pytest.approx([0.8, 1.56, 1.332])


def test_a_late_spike_is_what_it_says() -> None:
    loop = ExplicitLoop(first_weights((1, 1)), Dynamics(late=True))
    current = torch.tensor([0.8, 0.8, 0.8]).view(3, 1, 1)
    found = loop.run_neurons(None, current, "both")
    # The second membrane, 1.56, fires in the third step: 1.482 + 0.8 - 1 = 1.282
    assert found["spikes"].flatten().tolist() == [0, 0, 1]
    assert found["membrane"].flatten().tolist() == pytest.approx([0.8, 1.56, 1.282])
    decided = loop.dynamics.decided(found["spikes"], found["membrane"])
    assert decided.flatten().tolist() == pytest.approx([0, 0.8, 1.56])


@pytest.mark.parametrize("code", CODES)
def test_snntorch_hoisted_is_snntorch(code: str) -> None:
    workload = Workload(code=code, hidden=20, num_steps=5, batch=4)
    layers, batch = first_weights(workload.sizes), workload.load()
    for layer in layers:
        layer.weight.data.mul_(3)
    oracle = Oracle(SnnTorchLoop(layers, workload), batch.spikes, batch.labels)
    hoisted = SnnTorchHoisted(layers, workload)
    check = oracle.check(hoisted)
    assert check.passed, check.why
    assert hoisted.encode(batch.pixels).shape == batch.spikes.shape


def test_everyone_installed_agrees_with_the_oracle_of_its_dynamics() -> None:
    """At least this package, snnTorch and its hoisted form; the peers where they are installed."""
    layers, given = loud_layers(), spikes()
    built = [candidates.build(name, layers) for name in candidates.names()]
    assert len(built) >= 4
    checks = check_all(built, layers, given, torch.tensor([0, 1, 2, 3]))
    assert {name: check.why for name, check in checks.items() if check.why} == {}
    alone = loud_layers()[:1]
    built = [candidates.build(name, alone) for name in candidates.names()]
    checks = check_all(built, alone, given, None)
    assert {name: check.why for name, check in checks.items() if check.why} == {}


def test_names_build_who_they_name() -> None:
    layers = loud_layers()
    built = [candidates.build(name, layers) for name in candidates.names()]
    assert [candidate.name for candidate in built] == candidates.names()
    assert isinstance(built[0], Ours)
    assert isinstance(built[0], TorchCandidate)
    assert isinstance(candidates.build("snnTorch", layers), SnnTorchLoop)


def test_a_peer_that_is_broken_is_not_taken_for_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS", {"Gone": "gone.Gone"})
    peers.installed.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"benchmarks\.peers\.gone"):
        peers.installed()
    peers.installed.cache_clear()

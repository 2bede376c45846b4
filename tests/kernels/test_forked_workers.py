"""Kernels in processes that were forked or spawned after kernels had run, as DataLoaders do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.kernels.processes import lines, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# macOS's own libraries, which torch is built on there, do not survive a fork; Windows has none.
linux = pytest.mark.skipif(
    sys.platform != "linux", reason="no fork on Windows, no safe one on macOS"
)

# A main file of its own: a spawned process imports it again.
LOADER = """
import sys, torch
from torch.utils.data import DataLoader, Dataset
from spikemnist import engine
from spikemnist.ops.layer import LayerParams
from spikemnist.kernels import openmp
from spikemnist.encoding import LatencyEncoder, RateEncoder
from spikemnist.models import LeakyMLP

RATE, LATENCY = RateEncoder(num_steps=25), LatencyEncoder(num_steps=25)

def network():
    torch.manual_seed(0)
    return LeakyMLP(784, (64,), 10, backend="event_driven").requires_grad_(False)

class Digits(Dataset):
    def __init__(self):
        self.model = network()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        images = torch.randint(256, (8, 784), generator=generator, dtype=torch.uint8)
        spikes = RATE(images, generator=generator) * LATENCY(images).amax(0)
        return spikes, self.model(spikes).scores, self.model(spikes).backend

if __name__ == "__main__":
    torch.set_num_threads(2)
    data = Digits()
    for how in sys.argv[1:]:
        if how == "spawn":  # by a pool of ours, where torch's own threads are not to be had
            openmp.team_addresses = lambda: openmp.NO_TEAM
        here = [data[index] for index in range(6)]
        workers = 2 if how == "fork" else 1
        loader = DataLoader(
            data, batch_size=None, num_workers=workers, multiprocessing_context=how
        )
        for (spikes, scores, backend), (wanted, of_scores, _) in zip(loader, here, strict=True):
            assert torch.equal(spikes, wanted)
            assert torch.equal(scores, of_scores)
            assert backend == "event_driven"
        again = [data[index] for index in range(6)]
        assert all(torch.equal(a[1], b[1]) for a, b in zip(here, again, strict=True))
        print(how, "worked")
"""


def test_workers_of_a_data_loader(tmp_path: Path) -> None:
    script = tmp_path / "loader.py"
    script.write_text(LOADER, encoding="utf-8")
    ways = ["fork", "spawn"] if sys.platform == "linux" else ["spawn"]
    assert lines(start(script, *ways)) == [f"{how} worked" for how in ways]


# Here the child keeps its parent's number of threads, which a DataLoader's worker does not. Torch's
# own operators would hang in it, in threads that are not there: so it is left with small ones only.
FORK = """
import os, sys, torch
from spikemnist import engine, ops
from spikemnist.kernels import openmp, scheduler
from spikemnist.ops.layer import LayerParams

generator = torch.Generator().manual_seed(0)
fed = (torch.rand(10, 2, 3000, generator=generator) < 0.3).to(torch.uint8)
weight = (torch.randn(520, 3000, generator=generator) / 20).requires_grad_()
towards = torch.randn(10, 2, 520, generator=generator)

def run():
    each = LayerParams(
        weight=weight, beta=torch.tensor(0.9), threshold=torch.tensor(1.0),
        reset_mechanism="subtract", spike_grad=ops.ATan(),
    )
    (did,) = engine.run([each], fed)
    (gradient,) = torch.autograd.grad(did.membrane, weight, towards)
    return did.membrane.detach(), gradient

def check(generations):
    child = os.fork()
    if child == 0:
        try:
            assert torch.get_num_threads() == 2
            assert openmp.team_addresses() == openmp.NO_TEAM
            for _ in range(3):
                for found, wanted in zip(run(), expected, strict=True):
                    assert found.numpy().tobytes() == wanted.numpy().tobytes()
            assert scheduler._pool[1], "the work was too little for two threads"
            if generations > 1:
                check(generations - 1)
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

torch.set_num_threads(2)
expected = run()
team = openmp.team_addresses
for addresses in (team, lambda: openmp.NO_TEAM):
    openmp.team_addresses = addresses
    before = addresses()
    for generations in (2, 1):
        assert all(map(torch.equal, run(), expected))
        check(generations)
        assert addresses() == before
    print("parent and children agree")
"""


@linux
def test_children_and_grandchildren_of_a_fork(tmp_path: Path) -> None:
    """In torch's own threads, of which none come along to a child, and in a pool of ours."""
    script = tmp_path / "fork.py"
    script.write_text(FORK, encoding="utf-8")
    assert lines(start("-W", "ignore", script)) == ["parent and children agree"] * 2

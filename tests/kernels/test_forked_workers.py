"""Kernels in a process of its own, and in those that it forks or spawns, as DataLoaders do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kernels.processes import lines, start

pytestmark = pytest.mark.slow

# A main file of its own: a spawned process imports it again.
MAIN = """
import contextlib, os, re, sys
from pathlib import Path
import numba, torch

def runtimes():
    text = Path("/proc/self/maps").read_text() if Path("/proc/self/maps").exists() else ""
    return sorted(set(re.findall(r"\\S*lib(?:gomp|omp|iomp|tbb)\\S*", text)))

if __name__ == "__main__":
    torch.set_num_threads(2)
    torch.rand(1000, 1000) @ torch.rand(1000, 1000)
    before = runtimes()

from torch.utils.data import DataLoader, Dataset
from spikemnist import ops
from spikemnist.engine import autograd
from spikemnist.encoding import LatencyEncoder, RateEncoder
from spikemnist.kernels import openmp, scheduler
from spikemnist.models import LeakyMLP
from spikemnist.ops.layer import LayerParams

RATE, LATENCY = RateEncoder(num_steps=25), LatencyEncoder(num_steps=25)

def network(hidden):
    torch.manual_seed(0)
    return LeakyMLP(hidden, backend="event_driven")

def check_settings():
    images = torch.arange(16 * 784).view(16, 784).remainder(256).to(torch.uint8)
    record = network(130)(RATE(images))
    record.scores.sum().backward()
    assert record.backend == "event_driven"
    assert runtimes() == before, (before, runtimes())
    assert torch.get_num_threads() == 2
    with contextlib.suppress(ValueError):  # which Numba raises before it starts a thread
        raise AssertionError(numba.threading_layer())

generator = torch.Generator().manual_seed(0)
fed = (torch.rand(10, 2, 3000, generator=generator) < 0.3).to(torch.uint8)
weight = (torch.randn(520, 3000, generator=generator) / 20).requires_grad_()
towards = torch.randn(10, 2, 520, generator=generator)
LAYER = LayerParams(
    weight=weight, beta=torch.tensor(0.9), threshold=torch.tensor(1.0),
    reset_mechanism="subtract", spike_grad=ops.ATan(),
)

def results():
    (record,) = autograd.run([LAYER], fed)
    (gradient,) = torch.autograd.grad(record.membrane, weight, towards)
    return record.membrane.detach(), gradient

def check_children(expected, generations):
    # A child keeps its parent's number of threads, which a DataLoader's worker does not. Torch's
    # own operators would hang in it, in threads that are not there: so it has small ones only.
    child = os.fork()
    if child == 0:
        try:
            assert torch.get_num_threads() == 2
            assert openmp.team_addresses() == openmp.NO_TEAM
            for _ in range(3):
                for one, other in zip(results(), expected, strict=True):
                    assert one.numpy().tobytes() == other.numpy().tobytes()
            assert scheduler._pool[1], "the work was too little for two threads"
            if generations > 1:
                check_children(expected, generations - 1)
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def check_forks():
    expected, team = results(), openmp.team_addresses
    for addresses in (team, lambda: openmp.NO_TEAM):
        openmp.team_addresses = addresses
        before = addresses()
        for generations in (2, 1):
            assert all(map(torch.equal, results(), expected))
            check_children(expected, generations)
            assert addresses() == before
    openmp.team_addresses = team

class Digits(Dataset):
    def __init__(self):
        self.model = network(64).requires_grad_(False)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        images = torch.randint(256, (8, 784), generator=generator, dtype=torch.uint8)
        spikes = RATE(images, generator=generator) * LATENCY(images).amax(0)
        return spikes, self.model(spikes).scores, self.model(spikes).backend

def check_loader(method, workers):
    data = Digits()
    here = [data[index] for index in range(6)]
    loader = DataLoader(
        data, batch_size=None, num_workers=workers, multiprocessing_context=method
    )
    for (spikes, scores, backend), expected in zip(loader, here, strict=True):
        assert torch.equal(spikes, expected[0])
        assert torch.equal(scores, expected[1])
        assert backend == "event_driven"
    again = [data[index] for index in range(6)]
    assert all(torch.equal(a[1], b[1]) for a, b in zip(here, again, strict=True))

if __name__ == "__main__":
    check_settings()
    print("settings")
    if "fork" in sys.argv:
        check_forks()
        print("children and grandchildren")
        check_loader("fork", 2)
        print("forked workers")
    # A pool of Python's threads, where torch's own are not to be had.
    openmp.team_addresses = lambda: openmp.NO_TEAM
    check_loader("spawn", 1)
    print("spawned worker")
    # The call starts Numba's threads.
    assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
"""


def test_processes_with_kernels(tmp_path: Path) -> None:
    """No second OpenMP runtime and no settings of threads; the same results in all children.

    Children are forked from torch's own threads, of which none come along, and from a pool of
    Python's. macOS's libraries, which torch is built on there, do not survive a fork; Windows has
    none.
    """
    script = tmp_path / "main.py"
    script.write_text(MAIN, encoding="utf-8")
    forks = ["fork"] if sys.platform == "linux" else []
    of_forks = ["children and grandchildren", "forked workers"] if forks else []
    printed = lines(start("-W", "ignore", script, *forks))
    assert printed == ["settings", *of_forks, "spawned worker"]

"""Models in the training loops of others: one's own, and those of libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from spikemnist.encoding import LatencyEncoder, RateEncoder
from spikemnist.training import cross_entropy
from tests.training.small_runs import PROCESSES, digits, new_network

pytestmark = pytest.mark.slow

LATENCY = LatencyEncoder(num_steps=5)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


class Shifted(Dataset[tuple["Tensor", int]]):
    """Digits as torchvision makes them, a little rotated and shifted, ``[1, 28, 28]``."""

    def __init__(self, samples: int) -> None:
        from torchvision import transforms

        self.digits = digits(samples)
        self.change = transforms.Compose(
            [transforms.ToTensor(), transforms.RandomAffine(10, translate=(0.1, 0.1))]
        )

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.change(self.digits.images[index].numpy()), int(self.digits.labels[index])


def encoded(samples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Make spikes ``[T, B, 1, 28, 28]`` in the process of a worker."""
    images = torch.stack([image for image, _ in samples])
    return RateEncoder(num_steps=5)(images), torch.tensor([label for _, label in samples])


def steps(model: torch.nn.Module, batches: Any, epochs: int) -> list[float]:
    """Train in a loop of one's own; return the mean loss of each epoch."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=1e-2), []
    for _ in range(epochs):
        total = 0.0
        for spikes, labels in batches:
            optimizer.zero_grad()
            loss = cross_entropy(model(spikes), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(batches))
    return losses


@pytest.mark.parametrize("workers", [0, 2])
def test_an_own_loop_with_the_encoder_in_workers(workers: int) -> None:
    how = "fork" if sys.platform == "linux" else "spawn"
    batches = DataLoader(
        Shifted(96),
        batch_size=32,
        collate_fn=encoded,
        num_workers=workers,
        multiprocessing_context=how if workers else None,
        persistent_workers=workers > 0,
    )
    losses = steps(new_network(), batches, 5)
    assert losses[-1] < losses[0] - 0.2


def one_of_two(rank: int, folder: Path) -> None:
    """Train on every second sample, with the gradients of both processes."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2
    )
    model = DistributedDataParallel(new_network())
    data = digits(64)[rank::2]
    for name in ("first", "third"):
        sgd(model, data.images, data.labels, 1 if name == "first" else 2)
        torch.save(model.module.state_dict(), folder / f"{name}-{rank}.pt")
    del model  # freed after the group, it may wait for a thread of gloo for ever
    distributed.destroy_process_group()


def sgd(model: torch.nn.Module, images: Tensor, labels: Tensor, count: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(count):
        optimizer.zero_grad()
        cross_entropy(model(LATENCY(images)), labels).backward()
        optimizer.step()


@pytest.mark.skipif(not distributed.is_available(), reason="this torch has no torch.distributed")
@pytest.mark.skipif(sys.platform == "win32", reason="gloo finds no address on some runners")
def test_two_processes_share_their_gradients(tmp_path: Path) -> None:
    processes = [
        PROCESSES.Process(target=one_of_two, args=(rank, tmp_path), daemon=True)
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(180)
    assert [process.exitcode for process in processes] == [0, 0]
    alone = new_network()
    sgd(alone, digits(64).images, digits(64).labels, 1)
    states = {
        f"{name}-{rank}": torch.load(tmp_path / f"{name}-{rank}.pt", weights_only=True)
        for name in ("first", "third")
        for rank in range(2)
    }
    for key, value in alone.state_dict().items():
        # The sum over 64 samples is the sum of two halves, each rounded by itself.
        torch.testing.assert_close(states["first-0"][key], value, rtol=1e-4, atol=1e-6)
        assert torch.equal(states["third-0"][key], states["third-1"][key])
    weight = "network.0.linear.weight"
    assert not torch.equal(states["first-0"][weight], states["third-0"][weight])


@pytest.mark.parametrize(
    ("library", "program"),
    [
        ("lightning", "lightning_trainer"),
        ("accelerate", "accelerate_loop"),
        ("skorch", "skorch_search"),
        ("optuna", "optuna_sweep"),
        ("ray", "ray_sweep"),
    ],
)
def test_a_program_of_the_docs(library: str, program: str, tmp_path: Path) -> None:
    pytest.importorskip(library, reason=f"needs {library}: pip install {library}")
    file = Path(__file__).parents[2] / "docs" / "howto" / "code" / f"{program}.py"
    done = subprocess.run(
        [sys.executable, file],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    accuracy = re.search(r"accuracy ([\d.]+)%", done.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 70

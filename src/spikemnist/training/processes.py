"""Train one network in several processes, by `torch.distributed`.

Each process has all data and encodes every batch, so that a sample gets the same random numbers for
encoding and augmentation in any of them. It then runs its share of the samples, and
`torch.nn.parallel.DistributedDataParallel` averages the gradients.

Shapes: ``B`` samples of a batch.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from spikemnist._descriptions import differences
from spikemnist._seeds import derive_seed, seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor, nn

    Answer = TypeVar("Answer")

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""Numbers in the environment that ``torchrun`` sets, beside the address of the first process."""

PATIENCE = datetime.timedelta(seconds=60)
"""How long the processes wait for one another at the start."""


@dataclass(frozen=True)
class Processes:
    """The process group of `torch.distributed`, or a single process if there is none.

    Attributes
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process validates, decides, writes files and shows progress."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return a module that runs the network, and averages its gradients over the processes."""
        return network if self.size == 1 else DistributedDataParallel(network)

    def share(self, samples: int) -> slice:
        """Return the samples of a batch that this process runs: all, if there are too few."""
        return slice(None) if samples < self.size else slice(self.rank, None, self.size)

    def weight(self, own: int, samples: int) -> float:
        """Return the factor of the loss of its own samples, so that the average is the gradient."""
        return 1.0 if own == samples else self.size * own / samples

    def counts(self, samples: int) -> bool:
        """Return whether the metrics of its share count: once, if each process runs all samples."""
        return self.is_first or samples >= self.size

    def add(self, numbers: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(numbers)
        return numbers

    def give(self, tensors: Iterable[Tensor]) -> None:
        """Copy tensors of the first process to all others."""
        if self.size > 1:
            with torch.no_grad():
                for tensor in tensors:
                    distributed.broadcast(tensor, 0)

    def first(self, work: Callable[[], Answer]) -> Answer:
        """Run ``work`` in the first process, and return its answer in all.

        Raises
        ------
        RuntimeError
            In the other processes, if the work fails in the first.
        """
        if self.size == 1:
            return work()
        answer: list[Any] = [None, ""]
        try:
            if self.is_first:
                answer[0] = work()
        except BaseException as error:
            answer[1] = f"{type(error).__name__}: {error}"
            raise
        finally:  # or the others would wait forever
            distributed.broadcast_object_list(answer)
        if answer[1]:
            raise RuntimeError(f"process 0 failed: {answer[1]}")
        value: Answer = answer[0]
        return value

    def check_same(self, description: Mapping[str, Any]) -> None:
        """Raise a `ValueError` in all processes that names what differs between them."""
        descriptions: list[Any] = [description] * self.size
        if self.size > 1:
            distributed.all_gather_object(descriptions, description)
        for rank, other in enumerate(descriptions):
            if named := differences(descriptions[0], other):
                raise ValueError(
                    f"the processes train different runs: in process 0 {named} in process {rank}"
                )

    def own_masks(
        self, device: torch.device, seed: int, *path: int
    ) -> contextlib.AbstractContextManager[object]:
        """Seed torch's global generators so that dropout masks differ between processes."""
        if self.size == 1:
            return contextlib.nullcontext()
        return seeded(derive_seed(seed, *path, self.rank), device)


def current() -> Processes:
    """Return the process group of this process."""
    if not distributed.is_available() or not distributed.is_initialized():
        return Processes()
    return Processes(distributed.get_rank(), distributed.get_world_size())


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that ``torchrun`` has started, if any.

    Raises
    ------
    RuntimeError
        If the variables of ``torchrun`` are wrong, or the other processes do not come within a
        minute.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or distributed.is_initialized():
        yield current()
        return
    try:
        rank, size, local_rank = (int(os.environ[name]) for name in VARIABLES)
        if not 0 <= rank < size:
            raise ValueError(f"RANK is {rank} of WORLD_SIZE {size}")
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank)
        meeting = distributed.rendezvous("env://", timeout=PATIENCE)  # type: ignore[attr-defined]
        store, rank, size = next(meeting)
        store.set_timeout(PATIENCE)
        # gloo for the CPU, NCCL for CUDA
        distributed.init_process_group(store=store, rank=rank, world_size=size)
    except Exception as error:
        raise RuntimeError(
            f"the processes of WORLD_SIZE={os.environ['WORLD_SIZE']} did not meet within "
            f"{PATIENCE.seconds} s ({type(error).__name__}: {' '.join(str(error).split())[:200]}). "
            "Start them by torchrun, or unset WORLD_SIZE"
        ) from error
    yield current()
    # Not after an error, whose traceback holds the wrapped network: torch may hang if the network
    # outlives the group.
    distributed.destroy_process_group()


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Explain a communication error: another process has ended."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        words = ("gloo", "nccl", "connection", "timed out", "peer")
        if current().size == 1 or not any(word in text.lower() for word in words):
            raise
        raise ConnectionError(
            "another process of this training has ended: resume the run from its last checkpoint, "
            f"if it has one ({text[:200]})"
        ) from error

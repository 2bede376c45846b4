"""Train one network in several processes, by `torch.distributed`.

For clusters. Needs: the core. Needed by: no other room.

Each process has all data and encodes every batch, so that a sample gets the same random numbers for
encoding and augmentation in any of them. It then runs its share of the samples, and
`torch.nn.parallel.DistributedDataParallel` adds up the gradients.

Shapes: ``B`` samples of a batch.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from spikemnist._descriptions import differences
from spikemnist._run_folder import FREE
from spikemnist._seeds import derive_seed, seeded

Answer = TypeVar("Answer")

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""Numbers in the environment that ``torchrun`` sets, beside the address of the first process."""

TIMEOUT = datetime.timedelta(seconds=60)
"""How long the processes wait for one another at the start."""


@contextmanager
def explained() -> Iterator[None]:
    """Explain a communication error: another process has ended."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        words = ("gloo", "nccl", "connection", "timed out", "peer")
        if not any(word in text.lower() for word in words):
            raise
        raise ConnectionError(
            "another process of this training has ended: resume the run from its last checkpoint, "
            f"if it has one ({text[:200]})"
        ) from error


class SeveralProcesses:
    """The processes of a group, with the methods of `spikemnist.training.team.OneProcess`."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.is_first = self.rank == 0
        self.weight = 1.0  # share of this process in the samples of a batch

    def by_first(self, function: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        """Let the first process call a function, and the others take its answer.

        The others raise a RuntimeError if it fails in the first.
        """
        answer: list[Any] = [None, ""]
        with explained():
            try:
                if self.is_first:
                    answer[0] = function(*args, **options)
            except BaseException as error:
                answer[1] = f"{type(error).__name__}: {error}"
                raise
            finally:  # or the others would wait forever
                distributed.broadcast_object_list(answer)
        if answer[1]:
            raise RuntimeError(f"process 0 failed: {answer[1]}")
        value: Answer = answer[0]
        return value

    @contextmanager
    def enter(self, context: AbstractContextManager[Answer]) -> Iterator[Answer]:
        """Enter a context in the first process, and yield what it gives in all."""
        with ExitStack() as stack:
            yield self.by_first(stack.enter_context, context)

    def compare(self, description: Mapping[str, Any]) -> None:
        """Raise in all processes where their runs differ."""
        descriptions: list[Any] = [description] * self.size
        distributed.all_gather_object(descriptions, description)
        for rank, other in enumerate(descriptions):
            if named := differences(descriptions[0], other, FREE):
                raise ValueError(
                    f"the processes train different runs: in process 0 {named} in process {rank}"
                )

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return a module that runs the network, and adds up its gradients over the processes."""
        module: Any = DistributedDataParallel(network)
        module.register_comm_hook(self, lambda team, bucket: _add(bucket.buffer(), team.weight))
        return module  # type: ignore[no-any-return]

    def share(
        self,
        step: Callable[..., Answer],
        training: Any,
        spikes: Tensor,
        labels: Tensor,
        metrics: Any,
    ) -> Answer:
        """Let each process do a training step with its own samples of the batch.

        A batch of fewer samples than processes is run by all, and counted by the first.
        """
        few = len(labels) < self.size
        mine = slice(None) if few else slice(self.rank, None, self.size)
        own, before = labels[mine], dict(metrics.sums)
        self.weight = 1 / self.size if few else len(own) / len(labels)
        epoch = len(training.history) + 1
        seed = derive_seed(training.config.seed, epoch, 4, metrics.batches, self.rank)
        # Dropout masks differ between the processes.
        with explained(), seeded(seed, spikes.device):
            answer = step(training, spikes[:, mine], own, metrics)
        if few and not self.is_first:
            metrics.sums = {name: before.get(name, 0.0) for name in metrics.sums}
        return answer

    def sum(self, training: Any, metrics: Any) -> None:
        """Add up the metrics of an epoch over the processes.

        Each has normalised its own samples: the statistics of the first count.
        """
        with explained(), torch.no_grad():
            sums = torch.tensor([*metrics.sums.values()], dtype=torch.float64)
            sums = sums.to(training.feed.device)
            distributed.all_reduce(sums)
            metrics.sums = dict(zip(metrics.sums, sums.tolist(), strict=True))
            for tensor in training.network.buffers():
                distributed.broadcast(tensor, 0)


def _add(gradient: Tensor, share: float) -> torch.futures.Future[Tensor]:
    """Add up gradients of the mean loss of each process, by its share of the samples."""
    work = distributed.all_reduce(gradient.mul_(share), async_op=True)
    return work.get_future().then(lambda future: future.value()[0])  # type: ignore[no-any-return]


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that ``torchrun`` has started.

    Raises
    ------
    RuntimeError
        If the variables of ``torchrun`` are wrong, or the other processes do not come within a
        minute.
    """
    if distributed.is_initialized():
        yield
        return
    try:
        rank, size, local_rank = (int(os.environ[name]) for name in VARIABLES)
        if not 0 <= rank < size:
            raise ValueError(f"RANK is {rank} of WORLD_SIZE {size}")
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank)
        meeting = distributed.rendezvous("env://", timeout=TIMEOUT)  # type: ignore[attr-defined]
        store, rank, size = next(meeting)
        store.set_timeout(TIMEOUT)
        # gloo for the CPU, NCCL for CUDA
        distributed.init_process_group(store=store, rank=rank, world_size=size)
    except Exception as error:
        raise RuntimeError(
            f"the processes of WORLD_SIZE={os.environ['WORLD_SIZE']} did not meet within "
            f"{TIMEOUT.seconds} s ({type(error).__name__}: {' '.join(str(error).split())[:200]}). "
            "Start them by torchrun, or unset WORLD_SIZE"
        ) from error
    yield
    # Not after an error, whose traceback holds the wrapped network: torch may hang if the network
    # outlives the group.
    distributed.destroy_process_group()

"""Train one network in several processes, by `torch.distributed`.

Each process has all data and encodes every batch, so that a sample gets the same random numbers for
encoding and augmentation in any of them. It then runs its share of the samples, and
`torch.nn.parallel.DistributedDataParallel` averages the gradients. The functions here decorate
those of the loop, and do nothing in a single process.

Shapes: ``B`` samples of a batch.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from spikemnist._descriptions import differences
from spikemnist._seeds import derive_seed, seeded

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
"""Numbers in the environment that ``torchrun`` sets, beside the address of the first process."""

PATIENCE = datetime.timedelta(seconds=60)
"""How long the processes wait for one another at the start."""


def place() -> tuple[int, int]:
    """Return the number of this process, from 0, and the number of all: 0 and 1 for a single one.

    The first process validates, decides, writes files and shows progress.
    """
    if not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def is_first() -> bool:
    """Return whether this is the first process."""
    return place()[0] == 0


def is_joint() -> bool:
    """Return whether there are several processes."""
    return place()[1] > 1


@contextlib.contextmanager
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


def first(function: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Let the first process call a function, and the others take its answer.

    The others raise a RuntimeError if it fails in the first.
    """

    @functools.wraps(function)
    def call(*args: Arguments.args, **options: Arguments.kwargs) -> Answer:
        rank, size = place()
        if size == 1:
            return function(*args, **options)
        answer: list[Any] = [None, ""]
        with explained():
            try:
                if rank == 0:
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

    return call


@contextlib.contextmanager
def entered_first(context: contextlib.AbstractContextManager[Answer]) -> Iterator[Answer]:
    """Enter a context in the first process, and yield what it gives in all."""
    with contextlib.ExitStack() as stack:
        yield first(stack.enter_context)(context)


def same(describe: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Compare what a function returns in all processes; raise in all where something differs."""

    @functools.wraps(describe)
    def call(*args: Arguments.args, **options: Arguments.kwargs) -> Answer:
        description, (_, size) = describe(*args, **options), place()
        descriptions: list[Any] = [description] * size
        if size > 1:
            distributed.all_gather_object(descriptions, description)
        for rank, other in enumerate(descriptions):
            if named := differences(descriptions[0], other):
                raise ValueError(
                    f"the processes train different runs: in process 0 {named} in process {rank}"
                )
        return description

    return call


def joint(network: nn.Module) -> nn.Module:
    """Return a module that runs the network, and adds up its gradients over the processes."""
    if place()[1] == 1:
        return network
    module: Any = DistributedDataParallel(network)
    module.own = SimpleNamespace(share=1.0)
    module.register_comm_hook(module.own, lambda own, bucket: _add(bucket.buffer(), own.share))
    return module  # type: ignore[no-any-return]


def _add(gradient: Tensor, share: float) -> torch.futures.Future[Tensor]:
    """Add up gradients of the mean loss of each process, by its share of the samples."""
    work = distributed.all_reduce(gradient.mul_(share), async_op=True)
    return work.get_future().then(lambda future: future.value()[0])  # type: ignore[no-any-return]


def shared(step: Callable[..., Answer]) -> Callable[..., Answer]:
    """Let each process do a training step with its own samples of the batch.

    A batch of fewer samples than processes is run by all, and counted by the first.
    """

    @functools.wraps(step)
    def call(training: Any, spikes: Tensor, labels: Tensor, metrics: Any) -> Answer:
        rank, size = place()
        if size == 1:
            return step(training, spikes, labels, metrics)
        few = len(labels) < size
        mine = slice(None) if few else slice(rank, None, size)
        own, before = labels[mine], dict(metrics.sums)
        training.model.own.share = 1 / size if few else len(own) / len(labels)
        epoch = len(training.history) + 1
        seed = derive_seed(training.config.seed, epoch, 4, metrics.batches, rank)
        # Dropout masks differ between the processes.
        with explained(), seeded(seed, spikes.device):
            answer = step(training, spikes[:, mine], own, metrics)
        if few and rank:
            metrics.sums = {name: before.get(name, 0.0) for name in metrics.sums}
        return answer

    return call


def summed(epoch: Callable[..., Any]) -> Callable[..., Any]:
    """Add up the metrics of an epoch over the processes.

    Each has normalised its own samples: the statistics of the first count.
    """

    @functools.wraps(epoch)
    def call(training: Any, *args: Any) -> Any:
        metrics = epoch(training, *args)
        if place()[1] > 1:
            with explained(), torch.no_grad():
                sums = torch.tensor([*metrics.sums.values()], dtype=torch.float64)
                sums = sums.to(training.feed.device)
                distributed.all_reduce(sums)
                metrics.sums = dict(zip(metrics.sums, sums.tolist(), strict=True))
                for tensor in training.network.buffers():
                    distributed.broadcast(tensor, 0)
        return metrics

    return call


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the processes that ``torchrun`` has started, if any.

    Raises
    ------
    RuntimeError
        If the variables of ``torchrun`` are wrong, or the other processes do not come within a
        minute.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or distributed.is_initialized():
        yield
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
    yield
    # Not after an error, whose traceback holds the wrapped network: torch may hang if the network
    # outlives the group.
    distributed.destroy_process_group()

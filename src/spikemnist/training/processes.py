"""Train one model in several processes, by `torch.distributed`.

Each process has the whole model and all data. It encodes every batch and then takes its share, so
that a sample gets the same random numbers for encoding and augmentation in any process. Gradients
and metrics are summed over the processes.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import distributed

from spikemnist._seeds import derive_seed, seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor, nn

    from spikemnist._interrupt import Interruption

    Answer = TypeVar("Answer")
    Step = TypeVar("Step")


class Share(NamedTuple):
    """The part of a batch that one process computes.

    Attributes
    ----------
    spikes : torch.Tensor
        Spikes of its samples, ``[T, B, ...]``.
    labels : torch.Tensor
        Labels of its samples, ``[B]``.
    of_mean : float
        Factor with which its means enter the means of the batch.
    of_sum : int
        Factor with which its sums enter the sums of the batch: 0 where another process computes the
        same samples.
    """

    spikes: Tensor
    labels: Tensor
    of_mean: float
    of_sum: int


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
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def share(self, spikes: Tensor, labels: Tensor) -> Share:
        """Return the share of this process in a batch ``[T, B, ...]``.

        If a batch has fewer samples than processes, each process computes all of it, its means
        weighted by ``1 / size``.
        """
        samples = len(labels)
        if self.size == 1 or samples < self.size:
            return Share(spikes, labels, 1 / self.size, int(self.is_first))
        begin, end = (samples * rank // self.size for rank in (self.rank, self.rank + 1))
        return Share(spikes[:, begin:end], labels[begin:end], (end - begin) / samples, 1)

    def add_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over the processes, in one message per dtype."""
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        for dtype in dict.fromkeys(gradient.dtype for gradient in gradients):
            same = [gradient for gradient in gradients if gradient.dtype == dtype]
            flat = self.add(torch.cat([gradient.flatten() for gradient in same]))
            parts = torch.split(flat, [gradient.numel() for gradient in same])
            for gradient, part in zip(same, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def add(self, numbers: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place."""
        if self.size > 1:
            with _talk():
                distributed.all_reduce(numbers)
        return numbers

    def gather(self, value: Answer) -> list[Answer]:
        """Return the values of all processes, in the order of their ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _talk():
            distributed.all_gather_object(values, value)
        return values

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
        except Exception as error:
            answer[1] = f"{type(error).__name__}: {error}"
            raise
        finally:  # or the others would wait forever
            with _talk():
                distributed.broadcast_object_list(answer)
        if answer[1]:
            raise RuntimeError(f"process 0 failed: {answer[1]}")
        value: Answer = answer[0]
        return value

    def between(self, steps: Iterable[Step], interruption: Interruption) -> Iterator[Step]:
        """Yield the steps of a loop until Ctrl-C is pressed in one of the processes."""
        for step in steps:
            if self.size == 1:
                interruption.check()
            elif any(self.gather(interruption.poll())):
                raise KeyboardInterrupt
            yield step

    def give(self, tensors: Iterable[Tensor]) -> None:
        """Copy tensors of the first process to all others."""
        if self.size > 1:
            with torch.no_grad(), _talk():
                for tensor in tensors:
                    distributed.broadcast(tensor, 0)

    @contextlib.contextmanager
    def own_masks(self, device: torch.device, seed: int, *path: int) -> Iterator[None]:
        """Seed torch's global generators so that dropout masks differ between processes."""
        if self.size == 1:
            yield
        else:
            with seeded(derive_seed(seed, *path, self.rank), device):
                yield


def current() -> Processes:
    """Return the process group of this process."""
    if not distributed.is_available() or not distributed.is_initialized():
        return Processes()
    return Processes(distributed.get_rank(), distributed.get_world_size())


@contextlib.contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that ``torchrun`` has started, if any."""
    is_group = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized()
    if is_group:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group()  # gloo for the CPU, NCCL for CUDA
    try:
        yield current()
    finally:
        if is_group:
            distributed.destroy_process_group()


@contextlib.contextmanager
def _talk() -> Iterator[None]:
    """Explain a communication error: another process has ended."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(
            "another process of this training has ended: resume the run from its last checkpoint, "
            f"if it has one ({' '.join(str(error).split())[:200]})"
        ) from error

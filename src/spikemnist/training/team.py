"""The processes that train a network together: one here, several in `spikemnist.distributed`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from torch import distributed, nn

from spikemnist._doors import import_object

Answer = TypeVar("Answer")


class OneProcess:
    """A process that trains alone: several have the same methods.

    The first process validates, decides, writes files and shows progress.
    """

    size = 1
    is_first = True

    def by_first(self, function: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        """Let the first process call a function, and return its answer in all."""
        return function(*args, **options)

    def enter(self, context: Answer) -> Answer:
        """Return a context that the first process enters, and that gives its value in all."""
        return context

    def compare(self, description: Mapping[str, Any]) -> None:
        """Raise in all processes if the descriptions of their runs differ."""

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return a module that runs the network, and adds up its gradients over the processes."""
        return network

    def share(self, step: Callable[..., Answer], *args: Any) -> Answer:
        """Let each process do a training step with its own samples of the batch."""
        return step(*args)

    def sum(self, training: Any, metrics: Any) -> None:
        """Add up the metrics of an epoch over the processes."""


def find_team() -> OneProcess:
    """Return this process alone, or those of the group of `torch.distributed`."""
    several = distributed.is_available() and distributed.is_initialized()
    if not several or distributed.get_world_size() == 1:
        return OneProcess()
    return import_object("spikemnist.distributed.SeveralProcesses")()  # type: ignore[no-any-return]


def joined() -> AbstractContextManager[None]:
    """Join the processes that ``torchrun`` has started, if any."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return nullcontext()
    return import_object("spikemnist.distributed.joined")()  # type: ignore[no-any-return]

"""The run of `small_runs` in a process of its own, which says where it is and waits to be killed.

At the ``count``-th event it sends "here" through its pipe and goes no further.
"""

from __future__ import annotations

from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from spikemnist.training import History
from tests.training import small_runs


def wait(pipe: Connection) -> None:
    pipe.send("here")
    pipe.recv()


class Countdown:
    """True at the ``count``-th call."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def stop_at_batch(count: int, pipe: Connection) -> None:
    due = Countdown(count)
    small_runs.on_batch.append(lambda: wait(pipe) if due() else None)


def stop_in_write(count: int, pipe: Connection) -> None:
    due, write_bytes = Countdown(count), Path.write_bytes

    def half(self: Path, content: bytes) -> int:
        if self.suffix != ".pt" or not due():
            return write_bytes(self, content)
        write_bytes(self, content[: len(content) // 2])
        return wait(pipe)

    Path.write_bytes = half


def stop_before(owner: type, method: str, count: int, pipe: Connection) -> None:
    """Stop before a method of a class is called, and a path has the name of a checkpoint."""
    due, original = Countdown(count), getattr(owner, method)

    def patched(self: Any, path: Path) -> Any:
        if (owner is not Path or Path(path).name == "checkpoint.pt") and due():
            wait(pipe)
        return original(self, path)

    setattr(owner, method, patched)


def main(folder: Path, threads: int, event: str, count: int, pipe: Connection) -> None:
    torch.set_num_threads(threads)
    {
        "batch": stop_at_batch,
        "write": stop_in_write,
        "rename": partial(stop_before, Path, "replace"),
        "callback": partial(stop_before, History, "save_csv"),
    }[event](count, pipe)
    small_runs.run(folder, small_runs.new_classifier(dropout=0.1), schedule="constant")

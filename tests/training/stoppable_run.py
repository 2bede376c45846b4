"""The run of `small_runs` in a process of its own, which says where it is and waits to be killed.

At the ``count``-th event it sends "here" through its pipe and goes no further.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

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


def stop_before_rename(count: int, pipe: Connection) -> None:
    due, replace = Countdown(count), Path.replace

    def patched(self: Path, target: Path) -> Path:
        if Path(target).name == "checkpoint.pt" and due():
            wait(pipe)
        return replace(self, target)

    Path.replace = patched


def stop_before_callback(count: int, pipe: Connection) -> None:
    due, save_csv = Countdown(count), History.save_csv

    def patched(self: History, path: Path) -> None:
        if due():
            wait(pipe)
        save_csv(self, path)

    History.save_csv = patched


def main(folder: Path, threads: int, event: str, count: int, pipe: Connection) -> None:
    torch.set_num_threads(threads)
    {
        "batch": stop_at_batch,
        "write": stop_in_write,
        "rename": stop_before_rename,
        "callback": stop_before_callback,
    }[event](count, pipe)
    small_runs.run(folder, small_runs.new_classifier(dropout=0.1), schedule="constant")

"""The run of `small_runs` in a process of its own, which says where it is and waits to be killed.

Called as ``stoppable_run.py FOLDER THREADS EVENT COUNT``: at the COUNT-th EVENT it prints "here"
and goes no further.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from spikemnist.training import History
from tests.training import small_runs


def here() -> None:
    print("here", flush=True)


def wait() -> None:
    here()
    sys.stdin.read()


class Countdown:
    """True at the ``count``-th call."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def stop_at_batch(count: int) -> None:
    due = Countdown(count)
    small_runs.on_batch.append(lambda: wait() if due() else None)


def pass_batch(count: int) -> None:
    due = Countdown(count)
    small_runs.on_batch.append(lambda: here() if due() else None)


def stop_for_interrupt(count: int) -> None:
    due = Countdown(count)

    def sleep() -> None:
        if due():
            here()
            while True:  # short sleeps, since Ctrl-C does not end a long one everywhere
                time.sleep(0.01)

    small_runs.on_batch.append(sleep)


def stop_in_write(count: int) -> None:
    due, write_bytes = Countdown(count), Path.write_bytes

    def half(self: Path, content: bytes) -> int:
        if self.suffix != ".pt" or not due():
            return write_bytes(self, content)
        write_bytes(self, content[: len(content) // 2])
        return wait()

    Path.write_bytes = half


def stop_before_rename(count: int) -> None:
    due, replace = Countdown(count), Path.replace

    def patched(self: Path, target: Path) -> Path:
        if Path(target).name == "checkpoint.pt" and due():
            wait()
        return replace(self, target)

    Path.replace = patched


def stop_before_callback(count: int) -> None:
    due, save_csv = Countdown(count), History.save_csv

    def patched(self: History, path: Path) -> None:
        if due():
            wait()
        save_csv(self, path)

    History.save_csv = patched


def main() -> None:
    folder, threads, event, count = sys.argv[1:]
    torch.set_num_threads(int(threads))
    {
        "batch": stop_at_batch,
        "passing": pass_batch,
        "interrupt": stop_for_interrupt,
        "write": stop_in_write,
        "rename": stop_before_rename,
        "callback": stop_before_callback,
    }[event](int(count))
    history = small_runs.run(Path(folder), small_runs.new_model(dropout=0.1))
    print(json.dumps({"interrupted": history.interrupted, "epochs": len(history)}), flush=True)


if __name__ == "__main__":
    main()

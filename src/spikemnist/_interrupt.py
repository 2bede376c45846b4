"""Ctrl-C, recorded and read between two batches.

Python raises KeyboardInterrupt at any instruction of the main thread, but discards it in callbacks
of weak references, in destructors and in some imports. A record that a loop reads between two
batches is never lost.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import traceback
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    Step = TypeVar("Step")

PATIENCE = 3.0
"""Seconds since the last look of a loop after which Ctrl-C acts at once, as while a kernel is
compiled."""


class Interruption:
    """Handler of Ctrl-C that records it.

    The second time, and after ``deadline``, it also raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.pressed: bool = False
        self.deadline: float = float("inf")

    def __call__(self, _: int, frame: FrameType | None) -> None:
        at_once = self.pressed or time.monotonic() > self.deadline
        self.pressed = True
        if at_once and not _in_callback(frame):
            raise KeyboardInterrupt

    def poll(self) -> bool:
        """Return whether Ctrl-C has been pressed; called between two steps of a loop."""
        self.deadline = time.monotonic() + PATIENCE
        return self.pressed

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C has been pressed."""
        if self.poll():
            raise KeyboardInterrupt

    def between(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps of a loop; check before each."""
        for step in steps:
            self.check()
            yield step


def _in_callback(frame: FrameType | None) -> bool:
    """Return whether the compiler has called Python: it would print and drop an exception."""
    names = (caller.f_code.co_name for caller, _ in traceback.walk_stack(frame))
    return any(name.startswith("_raw_object_cache") for name in names)


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Record Ctrl-C within the context, and then restore the former handler.

    Nested contexts share one record. Only the main thread can handle signals, and a handler of the
    user's own stays.
    """
    former = signal.getsignal(signal.SIGINT)
    interruption = former if isinstance(former, Interruption) else Interruption()
    in_main = threading.current_thread() is threading.main_thread()
    replaced = in_main and former is signal.default_int_handler
    if replaced:
        signal.signal(signal.SIGINT, interruption)
    try:
        yield interruption
    finally:
        interruption.deadline = 0.0  # outside loops Ctrl-C acts at once
        if replaced:
            signal.signal(signal.SIGINT, former)

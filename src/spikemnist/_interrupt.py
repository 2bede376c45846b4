"""Ctrl-C, recorded and read between two steps of a loop.

Python raises KeyboardInterrupt at any instruction of the main thread, but discards it in callbacks
of weak references, in destructors and in some imports. A record that a loop reads between two
steps is never lost.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

Step = TypeVar("Step")

DELAY = 3.0
"""Seconds since the last look of a loop after which Ctrl-C acts at once, as while a kernel is
compiled."""


WEAK_REFERENCES = tuple(
    function.__code__.co_filename
    for function in (weakref.WeakValueDictionary.__init__, weakref.WeakSet.add)
)
"""Files of the functions that Python calls when an object of a weak dictionary or set is gone.

As the frames name them, also where the standard library is frozen or a zip.
"""


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


def _in_callback(frame: FrameType | None) -> bool:
    """Return whether Python would print and drop an exception here.

    The compiler has called it, or it removes a weak reference.
    """
    codes = [caller.f_code for caller, _ in traceback.walk_stack(frame)]
    return any(
        code.co_name.startswith("_raw_object_cache") or code.co_filename in WEAK_REFERENCES
        for code in codes
    )


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Record Ctrl-C within the context, and then restore the former handler.

    Nested contexts share one record. Only the main thread can handle signals, and a handler of the
    user's own stays.
    """
    former = signal.getsignal(signal.SIGINT)
    handler = former if isinstance(former, Interruption) else Interruption()
    in_main = threading.current_thread() is threading.main_thread()
    replaced = in_main and former is signal.default_int_handler
    if replaced:
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        handler.deadline = 0.0  # outside loops Ctrl-C acts at once
        if replaced:
            signal.signal(signal.SIGINT, former)


def interrupted() -> bool:
    """Return whether Ctrl-C was pressed in an `interruptible` context, between two steps of it."""
    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, Interruption):
        return False
    handler.deadline = time.monotonic() + DELAY
    return handler.pressed


def check_interrupt() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed in an `interruptible` context."""
    if interrupted():
        raise KeyboardInterrupt


def between(steps: Iterable[Step]) -> Iterator[Step]:
    """Yield the steps of a loop; raise KeyboardInterrupt before the one after Ctrl-C."""
    for step in steps:
        check_interrupt()
        yield step

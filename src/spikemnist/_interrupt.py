"""Handling of Ctrl-C that loses no interruption.

Python raises KeyboardInterrupt at any instruction of the main thread. It discards an exception in
the destructor of an object, in the callback of a weak reference and in other code that C calls. A
loop over batches therefore checks for the interruption between two batches.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    Step = TypeVar("Step")

PATIENCE = 3.0
"""Seconds since the last check of a loop after which Ctrl-C acts at once, as while a kernel is
compiled."""

MOMENT = 0.01
"""Seconds after which a discarded KeyboardInterrupt is repeated."""


class Interruption:
    """Record of whether Ctrl-C has been pressed."""

    def __init__(self) -> None:
        self.pressed = False
        self._asked = time.monotonic()

    def asked(self) -> bool:
        """Return whether Ctrl-C has been pressed; called between two steps of a loop."""
        self._asked = time.monotonic()
        return self.pressed

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C has been pressed."""
        if self.asked():
            raise KeyboardInterrupt

    def between(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps of a loop; check before each."""
        for step in steps:
            self.check()
            yield step

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Record the signal.

        The second time, and in a step that takes longer than `PATIENCE`, raise KeyboardInterrupt at
        once. If Python discards that exception, the signal is still recorded.
        """
        at_once = self.pressed or time.monotonic() - self._asked > PATIENCE
        self.pressed = True
        if at_once:
            raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let Ctrl-C end a loop between two of its steps.

    Only the main thread can handle signals. Another handler of Ctrl-C stays in place.
    """
    interruption = Interruption()
    if not can_handle():
        yield interruption
        return
    signal.signal(signal.SIGINT, interruption.handle)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def can_handle() -> bool:
    """Return whether this is the main thread, and Ctrl-C has Python's default handler."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _press() -> None:
    """Send SIGINT to the main thread, so that a blocking system call ends as well."""
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        signal.raise_signal(signal.SIGINT)
    else:
        signal.pthread_kill(main, signal.SIGINT)


@contextlib.contextmanager
def repeated() -> Iterator[None]:
    """Send Ctrl-C again, a moment later, when Python has discarded a KeyboardInterrupt.

    For programs only: the hook for discarded exceptions belongs to the whole process.
    """
    timers: list[threading.Timer] = []
    former = sys.unraisablehook

    def press_again(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            former(unraisable)
            return
        timer = threading.Timer(MOMENT, _press)
        timer.daemon = True
        timers.append(timer)
        timer.start()

    sys.unraisablehook = press_again
    try:
        yield
    finally:
        sys.unraisablehook = former
        waiting = [timer for timer in timers if not timer.finished.is_set()]
        for timer in waiting:
            timer.cancel()
    if waiting:
        raise KeyboardInterrupt

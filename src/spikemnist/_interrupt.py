"""Ctrl-C that is never lost.

Python raises KeyboardInterrupt at whatever instruction the main thread has come to, and discards an
exception in the destructor of an object, in the callback of a weak reference and in other code that
C calls. A loop over batches asks for the interruption between two of them instead.
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
"""Seconds since a loop last asked after which Ctrl-C is not put off: a kernel is compiled, for
example."""

MOMENT = 0.01
"""Seconds after which a discarded KeyboardInterrupt is repeated."""


class Interruption:
    """Whether Ctrl-C has been pressed."""

    def __init__(self) -> None:
        self.pressed = False
        self._asked = time.monotonic()

    def asked(self) -> bool:
        """Return whether Ctrl-C has been pressed, between two steps of a loop."""
        self._asked = time.monotonic()
        return self.pressed

    def check(self) -> None:
        """Raise KeyboardInterrupt when Ctrl-C has been pressed."""
        if self.asked():
            raise KeyboardInterrupt

    def between(self, steps: Iterable[Step]) -> Iterator[Step]:
        """Yield the steps of a loop; check before each."""
        for step in steps:
            self.check()
            yield step

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal.

        The second time, and in a step that takes longer than `PATIENCE`, raise KeyboardInterrupt
        at once; should that be discarded, it is still remembered.
        """
        at_once = self.pressed or time.monotonic() - self._asked > PATIENCE
        self.pressed = True
        if at_once:
            raise KeyboardInterrupt


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let Ctrl-C end a loop between two of its steps.

    Only the main thread can handle signals. A handler that somebody has set stays.
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
    """Return whether this is the main thread, and nobody else handles Ctrl-C."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _press() -> None:
    """Send SIGINT to the main thread, so that a system call that it waits in ends as well."""
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        signal.raise_signal(signal.SIGINT)
    else:
        signal.pthread_kill(main, signal.SIGINT)


@contextlib.contextmanager
def repeated() -> Iterator[None]:
    """Press Ctrl-C again, a moment later, when Python has discarded a KeyboardInterrupt.

    For programs: the hook for discarded exceptions belongs to the whole process.
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

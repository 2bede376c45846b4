"""The seconds in which heavy packages are imported: a sign of life, and Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTICE = "loading PyTorch ..."


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an import.

    A class of its own: a plain `KeyboardInterrupt` that passes through `eval`, as in the making of
    a dataclass, has Python end by the signal, even when the exception is caught.
    """


@contextlib.contextmanager
def sign_of_life() -> Iterator[None]:
    """Show on a terminal that PyTorch is being imported."""
    if "torch" in sys.modules or not sys.stderr.isatty():
        yield
        return
    print(NOTICE, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print(f"\r{'':{len(NOTICE)}}\r", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def heed_interrupts() -> Iterator[None]:
    """Raise `Interrupted` after Ctrl-C, whatever an interrupted import has made of it.

    Compiled modules turn the exception into another one, or drop it.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    came = False

    def interrupt(*_: object) -> None:
        nonlocal came
        came = True
        raise Interrupted

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if came:
            raise Interrupted from error
        raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise Interrupted

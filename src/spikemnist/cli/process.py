"""The process around a command: Ctrl-C while packages load, and streams that are closed."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from spikemnist._interrupt import can_handle

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
    if not can_handle():
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


@contextlib.contextmanager
def usable_streams() -> Iterator[None]:
    """Give the process an output and an error stream that can be written to, for a while."""
    with contextlib.ExitStack() as opened:
        for name, redirect in (
            ("stdout", contextlib.redirect_stdout),
            ("stderr", contextlib.redirect_stderr),
        ):
            stream = getattr(sys, name)
            if stream is None:
                # It was closed, as for a daemon. The null device takes the free descriptor too, so
                # that no file of a run gets it, and with it what C code writes there.
                null = opened.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                opened.enter_context(redirect(null))
            elif isinstance(stream, io.TextIOWrapper):
                # The help draws boxes, and a folder may have any name: where the encoding of a
                # terminal or pipe lacks a character, a question mark is better than an error.
                stream.reconfigure(errors="replace")
        yield


def discard_output() -> None:
    """Let whatever is still written go nowhere, after the reader of a pipe has left.

    Else Python would complain when it flushes the streams at its end.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            try:
                stream.flush()
            except BrokenPipeError:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)

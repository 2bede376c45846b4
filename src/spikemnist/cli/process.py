"""The process around a command: its start, Ctrl-C meanwhile, closed streams, and its end."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from spikemnist._interrupt import can_handle

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTICE = "loading PyTorch ..."


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an import.

    A class of its own is needed: after a plain `KeyboardInterrupt` has passed through `eval`, as
    when a dataclass is made, Python ends by the signal even if the exception is caught.
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


def collect_garbage_rarely() -> None:
    """Have Python search for cyclic garbage less often, after every 10,000 new objects.

    While PyTorch and Matplotlib load, the search finds none and takes half a second. A process that
    has loaded PyTorch before is not the command's own, and is left as it is.
    """
    if "torch" not in sys.modules:
        gc.set_threshold(10_000)


@contextlib.contextmanager
def heed_interrupts() -> Iterator[None]:
    """Raise `Interrupted` after Ctrl-C, even if an interrupted import has changed the exception.

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
    """Give the process writable output and error streams within the context."""
    with contextlib.ExitStack() as opened:
        for name, redirect in (
            ("stdout", contextlib.redirect_stdout),
            ("stderr", contextlib.redirect_stderr),
        ):
            stream = getattr(sys, name)
            if stream is None:
                # It was closed, as for a daemon. The null device takes the free descriptor too, so
                # that no file of a run gets it, and with it the output of C code.
                null = opened.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
                opened.enter_context(redirect(null))
            elif isinstance(stream, io.TextIOWrapper):
                # The help draws boxes, and a folder may have any name: if the encoding of a
                # terminal or pipe lacks a character, a question mark is better than an error.
                stream.reconfigure(errors="replace")
        yield


def discard_output() -> None:
    """Discard all further output, after the reader of a pipe has closed it.

    Otherwise Python would report an error when it flushes the streams at exit.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            try:
                stream.flush()
            except BrokenPipeError:
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)


def end_process(code: int) -> NoReturn:
    """End the process with an exit code, after the functions that packages registered for its end.

    Python would then free every object of PyTorch and Matplotlib, which takes most of a second.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    os._exit(code)

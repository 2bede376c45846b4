"""Standard streams that are closed, and pipes whose reader has left."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


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

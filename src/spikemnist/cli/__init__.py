"""The command line: the only place that parses arguments or prints.

This file imports nothing heavy, so that Ctrl-C is handled from the first instant.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING

from spikemnist._interrupt import interruptible
from spikemnist.cli.errors import (
    CLOSED_PIPE,
    FAILURE,
    INTERRUPTED,
    WRONG_REQUEST,
    WrongRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spikemnist.cli.options import Command


def program() -> int:
    """Run the command in ``sys.argv`` as a process of its own: the program ``spikemnist``."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        # A folder may have any name; the encoding of a pipe may lack some of its characters.
        stream.reconfigure(errors="replace")
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, default None
        Words of the command line; None takes ``sys.argv``.

    Returns
    -------
    int
        0; 2 for a wrong request or 1 for a failure, each with one line on standard error; 130 after
        Ctrl-C; 141 when the reader of a pipe has closed it.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    with interruptible() as interruption:
        try:
            code = _guarded(words)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes the stream once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = CLOSED_PIPE
    if code == 0 and interruption.pressed:  # recorded, but nothing was left to end
        code = _interrupted()
    return code


def _guarded(words: list[str]) -> int:
    """Run a command; report errors in one line."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            with interruptible() as interruption:  # an import may drop a KeyboardInterrupt
                from spikemnist.cli.parser import parse

                command = parse(words)
                work = _load(command)
                interruption.check()
            return _run(work, command)
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    except BrokenPipeError:
        raise
    except Exception as error:
        if "--debug" in words:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"spikemnist: {_word('error', 'red')} {message}", file=sys.stderr)
        return WRONG_REQUEST if isinstance(error, WrongRequest) else FAILURE


def _interrupted() -> int:
    print("spikemnist: interrupted", file=sys.stderr)
    return INTERRUPTED


def _load(command: Command) -> Callable[[Command], int]:
    """Import the module of a command, and with it PyTorch and other heavy packages."""
    # Pictures go to files: override any Matplotlib backend that is set, or misspelt.
    os.environ["MPLBACKEND"] = "agg"
    module = importlib.import_module(f"spikemnist.cli.{type(command).__name__.lower()}")
    from spikemnist.kernels import compiler

    compiler.is_available()  # imports Numba
    work: Callable[[Command], int] = module.run
    return work


def _run(work: Callable[[Command], int], command: Command) -> int:
    """Run a command; announce compilations, and with ``--verbose`` the settings."""
    from spikemnist._progress import compilation_announced, silence
    from spikemnist.cli.output import show_settings

    with silence() if command.quiet else compilation_announced():
        if command.verbose:
            show_settings(command)
        return work(command)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"spikemnist: {_word('warning', 'yellow')} {message}", file=sys.stderr)


def _word(word: str, colour: str) -> str:
    from spikemnist.cli.output import coloured

    return coloured(f"{word}:", colour, sys.stderr)

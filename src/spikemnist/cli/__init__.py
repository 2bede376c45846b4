"""The command line: the only place that parses arguments or prints results.

For whoever does not want to program. Needs: kernels, energy, robustness, recognition, events,
codes. Needed by: no other room.

Internal: commands, options and exit codes are public, the modules are not.

Each command is a file with its options, their checks and its work. None of them imports PyTorch
before its work begins, so that help and wrong requests are answered at once.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from spikemnist._arguments import suggestion
from spikemnist._doors import is_installed, missing_room
from spikemnist._interrupt import check_interrupt, interruptible
from spikemnist._progress import silence
from spikemnist.cli.errors import (
    CLOSED_PIPE,
    FAILURE,
    INTERRUPTED,
    WRONG_REQUEST,
    WrongRequest,
)
from spikemnist.cli.threads import choose_threads

COMMANDS = {
    "train": "spikemnist.training",
    "stdp": "spikemnist.plasticity",
    "evaluate": "spikemnist.training",
    "predict": "spikemnist.recognition",
    "encode": "spikemnist.encoding",
    "plot": "spikemnist.viz",
    "export": "spikemnist.export",
    "playground": "spikemnist.export",
    "info": "spikemnist.cli",
}
"""The commands, each with the room without which it is not offered."""


def program() -> int:
    """Run the command in ``sys.argv`` as a process of its own: the program ``spikemnist``."""
    choose_threads()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        # A folder may have any name; the encoding of a pipe may lack some of its characters.
        getattr(sys, name).reconfigure(errors="replace")
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
    from spikemnist.cli.output import print_error, print_warning

    words = sys.argv[1:] if arguments is None else list(arguments)
    with interruptible(), warnings.catch_warnings():
        warnings.showwarning = print_warning
        try:
            code = _answer(words)
            sys.stdout.flush()
            if code == 0:  # else Ctrl-C has ended the command
                check_interrupt()
        except KeyboardInterrupt:
            print("spikemnist: interrupted", file=sys.stderr)
            code = INTERRUPTED
        except Exception as error:
            if _is_closed_pipe(error):
                # Python flushes the stream once more when it ends.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return CLOSED_PIPE
            if "--debug" in words:
                raise
            print_error(str(error) or type(error).__name__)
            code = WRONG_REQUEST if isinstance(error, WrongRequest) else FAILURE
    return code


def _is_closed_pipe(error: Exception) -> bool:
    """Return whether the reader of the output has left, which on Windows is EINVAL, of no file."""
    if sys.platform != "win32":
        return isinstance(error, BrokenPipeError)
    return isinstance(error, OSError) and (error.errno, error.filename) == (errno.EINVAL, None)


def _answer(words: list[str]) -> int:
    """Print the help or the version, or run a command; with ``--verbose``, its settings first."""
    with interruptible():  # an import may drop a KeyboardInterrupt
        from spikemnist.cli import parser
        from spikemnist.cli.output import show_settings

        if words[:1] == ["help"]:
            words = [*words[1:], "--help"]
        if not words or words[0] in parser.HELP:
            print(_overview())
            return 0
        if words[0] in ("-V", "--version"):
            from spikemnist import __version__

            print(f"spikemnist {__version__}")
            return 0
        name = words[0]
        if name not in COMMANDS:
            raise WrongRequest(
                f"{name!r} is no command"
                + (suggestion(name, COMMANDS) or f"; choose from {', '.join(COMMANDS)}")
            )
        if not is_installed(COMMANDS[name]):
            raise WrongRequest(f"no command {name}: {missing_room(COMMANDS[name])}")
        module = importlib.import_module(f"spikemnist.cli.{name}")
        if not parser.HELP.isdisjoint(words):
            print(parser.help_page(name, module, words[1:]))
            return 0
        command = parser.parse(name, module, words[1:])
        _import_heavy_packages()
        check_interrupt()
    with silence() if command.quiet else contextlib.nullcontext():
        if command.verbose:
            show_settings(command, name)
        code: int = module.run(command)
        return code


def offered() -> list[str]:
    """Return the commands whose rooms are there."""
    return [name for name, room in COMMANDS.items() if is_installed(room)]


def _overview() -> str:
    """Return the page of ``spikemnist --help``."""
    names = offered()
    modules = (importlib.import_module(f"spikemnist.cli.{name}") for name in names)
    rows = [f"  {n:<12}{module.SUMMARY}" for n, module in zip(names, modules, strict=True)]
    return (
        "usage: spikemnist COMMAND [OPTIONS]\n\n"
        "Spiking neural networks on MNIST-like data.\n\ncommands:\n" + "\n".join(rows) + "\n\n"
        "examples:\n"
        "  spikemnist train                            train on the digits of the package\n"
        "  spikemnist predict mnist-conv digit.png     recognise a digit in a picture\n\n"
        "`spikemnist COMMAND --help` lists the options of a command."
    )


def _import_heavy_packages() -> None:
    """Import PyTorch and Numba, and with them what takes time."""
    # Pictures go to files: override any Matplotlib backend that is set, or misspelt.
    os.environ["MPLBACKEND"] = "agg"
    import torch  # noqa: F401

    from spikemnist.kernels import compiler

    compiler.is_available()  # imports Numba

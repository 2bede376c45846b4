"""The command line: the only place that parses arguments or prints."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
import warnings
from typing import TYPE_CHECKING

from spikemnist._interrupt import repeated
from spikemnist._progress import compilation_announced
from spikemnist.cli.errors import FAILURE, INTERRUPTED, WRONG_REQUEST, WrongRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spikemnist.cli.options import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        Words of the command line; those of the process when ``None``.

    Returns
    -------
    int
        0; 2 for a wrong request, 1 for a failure, each with one line on standard error; 130
        after Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The help draws boxes, and a folder may have any name: where the encoding of a
            # terminal or pipe lacks a character, a question mark is better than an error.
            stream.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return _run(_parse(words))
    except KeyboardInterrupt:
        print("spikemnist: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if "--debug" in words:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"spikemnist: error: {message}", file=sys.stderr)
        return WRONG_REQUEST if isinstance(error, WrongRequest) else FAILURE


def _parse(words: list[str]) -> Command:
    import tyro

    from spikemnist.cli import options

    def parse(kind: object, words: list[str], **settings: object) -> Command:
        return tyro.cli(  # type: ignore[call-overload,no-any-return]
            kind,
            prog="spikemnist",
            description="Spiking neural networks on MNIST-like data.",
            args=words,
            config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
            **settings,
        )

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            command = parse(options.Command, words)
            # What the run was started with, or the settings that go with recipe, data and model,
            # take the place of the defaults, so that only options given now differ.
            default = _defaults(command)
            if default is not None:
                command = parse(type(command), words[1:], default=default)
    except SystemExit as exit_:
        if exit_.code:
            raise WrongRequest(_one_line(complaint.getvalue())) from None
        raise
    return command


def _defaults(command: Command) -> Command | None:
    """Return what options begin with, where that is not what their command says."""
    from spikemnist.cli import options
    from spikemnist.cli.recipes import defaults_of
    from spikemnist.cli.runs import resumed

    if isinstance(command, options.Train | options.Stdp) and command.resume:
        return resumed(command)
    if isinstance(command, options.Train | options.Encode):
        default = defaults_of(command)
        return None if default == type(command)() else default
    return None


def _run(command: Command) -> int:
    name = type(command).__name__.lower()
    module = importlib.import_module(f"spikemnist.cli.{name}")
    with repeated(), compilation_announced():
        return int(module.run(command))


def _one_line(box: str) -> str:
    """Return the gist of the parser's message, which comes in a drawn box of several lines."""
    lines = [line.strip("│╭╮╰╯─ \t") for line in box.splitlines()]
    title, *rest = lines
    text = " ".join(rest[: rest.index("")])  # up to the rule between message and hints
    closest = re.search(r"Perhaps you meant:\s+(--[\w-]+)", "\n".join(rest))
    hint = f"; did you mean {closest[1]}?" if closest else ""
    return (text if text.lower().startswith(title.lower()) else f"{title}: {text}") + hint


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"spikemnist: warning: {message}", file=sys.stderr)

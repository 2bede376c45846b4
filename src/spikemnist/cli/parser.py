"""Parser of the command line, with error messages in one line of plain words."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
from typing import TYPE_CHECKING, NoReturn, get_args

import tyro

from spikemnist import __version__
from spikemnist.cli import options
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.limits import check_numbers, flag, limits_of
from spikemnist.cli.recipes import defaults_of
from spikemnist.cli.runs import resumed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spikemnist.cli.options import Command

COMMANDS = {kind.__name__.lower(): kind for kind in get_args(options.Command)}

DESCRIPTION = """Spiking neural networks on MNIST-like data.

`spikemnist COMMAND --help` lists the options of a command.

`spikemnist --version` prints the version.
"""

HELP = {"-h", "--help"}

OTHER_NAMES = {
    "classify": "predict",
    "recognize": "predict",
    "test": "evaluate",
    "fit": "train",
    "learn": "train",
    "draw": "plot",
    "show": "plot",
    "version": "info",
    "benchmark": "bench",
    "convert": "export",
}
"""Other names that users may try, and the commands they mean."""


def parse(words: list[str]) -> Command:
    """Return the command in the words; print the help if there are none.

    Raises
    ------
    WrongRequest
        If the words are not a valid command; the message has one line.
    SystemExit
        With code 0, after printing the requested help or version.
    """
    if words[:1] == ["--version"]:
        print(f"spikemnist {__version__}")
        raise SystemExit(0)
    words = words or ["--help"]
    _check_command(words[0])
    if words[0] in COMMANDS and not HELP.isdisjoint(words):
        _print_help(words)
    command = _read(options.Command, words)
    # The options of the resumed run, or the settings for recipe, data and model, replace the
    # defaults, so that only options given now differ.
    default = _defaults(command)
    if default is not None:
        command = _read(type(command), words[1:], default)
    check_numbers(command)
    return command


def _print_help(words: list[str]) -> NoReturn:
    """Print the help of a command, with the defaults that follow from the other options."""
    default = None
    with contextlib.suppress(WrongRequest):
        default = _defaults(_read(options.Command, [word for word in words if word not in HELP]))
    if default is None:
        _read(options.Command, words)
    else:
        _read(type(default), words[1:], default)
    raise SystemExit(0)


def _check_command(word: str) -> None:
    known = ", ".join(COMMANDS)
    if word in COMMANDS or word in HELP:
        return
    if word.startswith("-"):
        raise WrongRequest(f"the command comes first, one of {known}; got {word}")
    close = difflib.get_close_matches(word, [*COMMANDS, *OTHER_NAMES], n=1, cutoff=0.7)
    hint = f"; did you mean {OTHER_NAMES.get(close[0], close[0])}?" if close else ""
    raise WrongRequest(f"unknown command {word!r}: commands are {known}{hint}")


def _read(kind: object, words: list[str], default: Command | None = None) -> Command:
    """Return the command in the words; ``default`` holds the options not given."""
    complaint = io.StringIO()
    given = {} if default is None else {"default": default}
    name = "" if default is None else f" {type(default).__name__.lower()}"
    try:
        with contextlib.redirect_stderr(complaint), _wide_lines(words):
            return tyro.cli(  # type: ignore[call-overload,no-any-return]
                kind,
                prog=f"spikemnist{name}",
                description=DESCRIPTION if default is None else type(default).__doc__,
                args=words,
                config=(
                    tyro.conf.OmitSubcommandPrefixes,
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.FlagCreatePairsOff,
                ),
                **given,
            )
    except SystemExit as exit_:
        if exit_.code:
            raise WrongRequest(_in_plain_words(_gist(complaint.getvalue()), words)) from None
        raise


@contextlib.contextmanager
def _wide_lines(words: list[str]) -> Iterator[None]:
    """Keep the parser from wrapping error messages, which may contain long paths."""
    before = os.environ.get("COLUMNS")
    if not HELP.isdisjoint(words):
        yield
        return
    os.environ["COLUMNS"] = "100000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _defaults(command: Command) -> Command | None:
    """Return the defaults of a command, or None if its class has them already."""
    if isinstance(command, options.Train | options.Stdp) and command.resume:
        return resumed(command)
    if isinstance(command, options.Train | options.Encode):
        default = defaults_of(command)
        return None if default == type(command)() else default
    return None


def _gist(box: str) -> str:
    """Return the parser's message without the box drawn around it."""
    lines = [line.strip("│╭╮╰╯─ \t") for line in box.splitlines()]
    # A box drawn in ASCII has rules of dashes, one of them below the title.
    title, *rest = ["" if set(line) == {"-"} else line for line in lines]
    rest = rest[1:] if rest[0] == "" else rest
    text = " ".join(rest[: rest.index("")])  # up to the rule between message and hints
    closest = re.search(r"Perhaps you meant:\s+(--[\w-]+)", "\n".join(rest))
    hint = f"; did you mean {closest[1]}?" if closest else ""
    return (text if text.lower().startswith(title.lower()) else f"{title}: {text}") + hint


def _in_plain_words(complaint: str, words: list[str]) -> str:
    """Return a message of the parser without Python terms."""
    if choice := re.search(r"choice '(.*)' for argument '(\S+)'\. .*one of \((.*)\)", complaint):
        choices = ", ".join(sorted(set(re.findall(r"'([^']*)'", choice[3])) - {"None"}))
        return f"{choice[2]} must be {' or '.join(choices.rsplit(', ', 1))}; got {choice[1]}"
    if wrong := re.search(r"Error parsing (--\S+):", complaint):
        option = wrong[1]
        limits = {flag(name): part for name, part in limits_of(COMMANDS[words[0]]).items()}
        wanted = limits[option].description if option in limits else "another value"
        got = re.findall(r"'([^']*)'", complaint)
        value = got[-1] if got else "something else"
        hint = "; separate values by spaces" if "," in value else ""
        return f"{option} must be {wanted}; got {value}{hint}"
    if missing := re.search(r"Missing value for argument '\W*(--[\w-]+)", complaint):
        return f"{missing[1]} needs a value"
    if required := re.search(r"Missing from (.*): ([A-Z]+) (.*?) ?\(required\)", complaint):
        return f"{required[1]} needs {required[2]}: {required[3]}"
    flags = [word for word in words if word.startswith("-") and "=" in word]
    if flags and complaint == f"Unrecognized options: {flags[0].split('=', 1)[1]}":
        return f"{flags[0].split('=')[0]} takes no value; got {flags[0]}"
    return complaint

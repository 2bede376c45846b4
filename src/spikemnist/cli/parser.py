"""Parser of the command line."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, NoReturn, get_args

import tyro

from spikemnist import __version__
from spikemnist.cli import options
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.limits import check_numbers
from spikemnist.cli.recipes import defaults_of
from spikemnist.cli.runs import options_to_resume

if TYPE_CHECKING:
    from spikemnist.cli.options import Command

COMMANDS = {kind.__name__.lower(): kind for kind in get_args(options.Command)}

DESCRIPTION = """Spiking neural networks on MNIST-like data.

`spikemnist COMMAND --help` lists the options of a command.

`spikemnist --version` prints the version.
"""

HELP = {"-h", "--help"}


def parse(words: list[str]) -> Command:
    """Return the command in the words; print the help if there are none.

    Raises
    ------
    WrongRequest
        If a number is out of range, or there is no run to resume.
    SystemExit
        With code 0 after printing the requested help or version, with code 2 after printing what is
        wrong with the words.
    """
    if words[:1] == ["--version"]:
        print(f"spikemnist {__version__}")
        raise SystemExit(0)
    words = words or ["--help"]
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
    with contextlib.suppress(WrongRequest, SystemExit), contextlib.redirect_stderr(io.StringIO()):
        default = _defaults(_read(options.Command, [word for word in words if word not in HELP]))
    if default is None:
        _read(options.Command, words)
    else:
        _read(type(default), words[1:], default)
    raise SystemExit(0)


def _read(kind: object, words: list[str], default: Command | None = None) -> Command:
    """Return the command in the words; ``default`` holds the options not given."""
    options = {} if default is None else {"default": default}
    name = "" if default is None else f" {type(default).__name__.lower()}"
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
        **options,
    )


def _defaults(command: Command) -> Command | None:
    """Return the defaults of a command, or None if its class has them already."""
    if isinstance(command, options.Train | options.Stdp) and command.resume:
        return options_to_resume(command)
    if isinstance(command, options.Train | options.Encode):
        default = defaults_of(command)
        return None if default == type(command)() else default
    return None

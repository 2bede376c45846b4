"""Unsuccessful ends of a command: a wrong request, a failure, Ctrl-C."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Ctrl-C is handled before argparse is loaded
    from argparse import Namespace

FAILURE, WRONG_REQUEST, INTERRUPTED, CLOSED_PIPE = 1, 2, 130, 141
"""Exit codes; the last two are 128 + SIGINT and 128 + SIGPIPE, as a shell reports them."""


class WrongRequest(Exception):  # noqa: N818 - the request is wrong, not the program
    """A request that cannot be fulfilled: exit code 2."""


def flag(name: str) -> str:
    """Return the option of a name: ``--num-steps`` for ``num_steps``."""
    return f"--{name.replace('_', '-')}"


@contextmanager
def request(command: Namespace, option: str = "") -> Iterator[None]:
    """Turn the library's errors about arguments into a `WrongRequest`.

    Parameters
    ----------
    command : argparse.Namespace
        Command, whose options replace the arguments of the same name in the message.
    option : str, default ""
        Option with the arguments, such as ``--encoder``; the message begins with it.
    """
    try:
        yield
    except (ValueError, TypeError, FileExistsError, FileNotFoundError) as error:
        text = str(error)
        if (name := re.split(r"\W", text)[0]) in vars(command):
            text = f"{flag(name)}{text.removeprefix(name)}"
        elif option and option not in text:
            text = f"{option}: {text}"
        raise WrongRequest(text) from error


def refuse(command: Namespace, *names: str, because: str) -> None:
    """Refuse options that would do nothing.

    Raises
    ------
    WrongRequest
        With the options among ``names`` that the user gave.
    """
    if useless := [flag(name) for name in names if name in command.user_options]:
        raise WrongRequest(f"{', '.join(useless)} would do nothing {because}; leave it out")

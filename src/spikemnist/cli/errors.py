"""Unsuccessful ends of a command: a wrong request, a failure, Ctrl-C."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


FAILURE, WRONG_REQUEST, INTERRUPTED, CLOSED_PIPE = 1, 2, 130, 141
"""Exit codes; the last two are 128 + SIGINT and 128 + SIGPIPE, as a shell reports them."""


class WrongRequest(Exception):  # noqa: N818 - the request is wrong, not the program
    """A request that cannot be fulfilled: exit code 2."""


@contextmanager
def request(option: str = "") -> Iterator[None]:
    """Turn the library's errors about arguments into a `WrongRequest`.

    Parameters
    ----------
    option : str, default ""
        Option with the arguments, such as ``--encoder``; the message begins with it.
    """
    try:
        yield
    except (ValueError, TypeError, FileExistsError, FileNotFoundError) as error:
        text = str(error)
        prefix = f"{option}: " if option and option not in text else ""
        raise WrongRequest(prefix + text) from error

"""How a command ends when it does not end well: a wrong request, a failure, Ctrl-C."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


FAILURE, WRONG_REQUEST, INTERRUPTED = 1, 2, 130
"""Exit codes; 130 is what a shell makes of Ctrl-C."""


class WrongRequest(Exception):  # noqa: N818 - it is what the user asked for, not an error of ours
    """Something was asked for that cannot be done: exit code 2."""


@contextmanager
def request() -> Iterator[None]:
    """Turn the complaints about arguments that the library raises into a `WrongRequest`."""
    try:
        yield
    except (ValueError, TypeError, FileExistsError, FileNotFoundError) as error:
        raise WrongRequest(str(error)) from error

"""The forms of output besides plain text: JSON, details for ``--verbose``, and colours."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from spikemnist import __version__
from spikemnist.cli.limits import flag, values_of
from spikemnist.cli.options import Common

if TYPE_CHECKING:
    from spikemnist.cli.options import Command

STYLES = {"bold": "1", "red": "31", "yellow": "33"}
"""Parameters of the escape sequence that selects each style."""


def coloured(text: str, style: str, stream: TextIO) -> str:
    """Return a text in a style if the stream is a terminal that shows colours.

    The variable ``NO_COLOR``, if it holds anything, turns the colours off: https://no-color.org.
    """
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    if sys.platform == "win32":
        from colorama import just_fix_windows_console

        just_fix_windows_console()
    return f"\033[{STYLES[style]}m{text}\033[0m"


def show_json(**values: object) -> None:
    """Print values as one line of JSON, with null for what is no number."""
    plain = json.loads(json.dumps(values, default=_plain), parse_constant=lambda _: None)
    print(json.dumps(plain), flush=True)


def _plain(value: Any) -> object:
    """Return a value of a type that JSON lacks in one that it has."""
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value):
        return vars(value)
    return value.tolist()  # a tensor, or a number of NumPy


def show_settings(command: Command) -> None:
    """Print the version and every option of a command to standard error."""
    name = type(command).__name__.lower()
    print(f"spikemnist {__version__}: {name}", file=sys.stderr)
    for option, value in values_of(command).items():
        if option in ("json", *vars(Common())):
            continue
        words = " ".join(map(str, value)) if isinstance(value, tuple) else value
        print(f"  {flag(option):<18}{words}", file=sys.stderr)


def show_detail(command: Command, *lines: object) -> None:
    """Print lines to standard error if ``--verbose`` is given."""
    if command.verbose:
        print(*lines, sep="\n", file=sys.stderr, flush=True)

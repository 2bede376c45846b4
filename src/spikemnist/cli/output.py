"""The output of commands: results as aligned lines or as JSON, and details."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spikemnist import __version__
from spikemnist._tables import Tabular
from spikemnist.cli.errors import flag

if TYPE_CHECKING:
    from spikemnist.cli.parser import Command


class Block(NamedTuple):
    """A part of a result with lines of its own.

    Attributes
    ----------
    text
        The lines.
    value
        The same for JSON.
    """

    text: str
    value: object


def show(command: Command, **fields: Any) -> None:
    """Print a result: a line ``name value`` for each field, or all of them as a line of JSON.

    In the lines, an object that prints as a table of names and values has a line for each row, and
    what is None, False or empty has none. In JSON, what is no number is null.
    """
    if command.json:
        values = {name: v.value if isinstance(v, Block) else v for name, v in fields.items()}
        plain = json.loads(json.dumps(values, default=_plain), parse_constant=lambda _: None)
        print(json.dumps(plain), flush=True)
        return
    for name, value in fields.items():
        if isinstance(value, Block):
            print(f"\n{value.text}\n", flush=True)
            continue
        rows = [(name.replace("_", " "), _text(value))]
        if isinstance(value, Tabular) and len(value.table().head) == 2:
            rows += value.table().rows  # type: ignore[arg-type]
        for title, text in rows:
            if text:
                print(f"{title:<18}{text}", flush=True)


def _text(value: Any) -> str:
    """Return a value as the text of one line."""
    if isinstance(value, Tabular):
        return value.table().title
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return {None: "", False: "", True: "yes"}.get(value) or str(value or "")


def _plain(value: Any) -> object:
    """Return a value of a type that JSON lacks in one that it has."""
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value):
        return vars(value)
    return value.tolist()  # a tensor, or a number of NumPy


def say(command: Command, *lines: object) -> None:
    """Print lines for people, not with ``--json`` and ``--quiet``."""
    if not (command.json or command.quiet):
        print(*lines, sep="\n", flush=True)


def show_settings(command: Command, name: str) -> None:
    """Print the version and every option of a command to standard error."""
    print(f"spikemnist {__version__}: {name}", file=sys.stderr)
    for option, value in vars(command).items():
        words = " ".join(map(str, value)) if isinstance(value, tuple) else value
        if option not in ("user_options", "start", "json", "debug", "quiet", "verbose"):
            print(f"  {flag(option):<20}{words}", file=sys.stderr)


def show_detail(command: Command, *lines: object) -> None:
    """Print lines to standard error if ``--verbose`` is given."""
    if command.verbose:
        print(*lines, sep="\n", file=sys.stderr, flush=True)


def print_error(message: str) -> None:
    """Print an error in one line."""
    print("spikemnist: error:", *message.split(), file=sys.stderr, flush=True)


def print_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning in one line, in place of `warnings.showwarning`."""
    print("spikemnist: warning:", message, file=sys.stderr)


def with_numbers(name: str) -> Iterator[str]:
    """Yield a name, and after it the name with the numbers from 2."""
    yield name
    yield from (f"{name}-{number}" for number in itertools.count(2))


def command_line(*words: str | Path) -> str:
    """Return a command to type, with each word quoted for the system's shell."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)

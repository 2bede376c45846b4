"""The parser: a table of options for each command, on the standard library's argparse."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import math
import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from spikemnist import _names
from spikemnist._arguments import suggestion
from spikemnist._names import NUM_STEPS
from spikemnist.cli.errors import WrongRequest, flag
from spikemnist.encoding import ENCODERS

Command = argparse.Namespace
"""The options of a command by name; ``user_options`` are the names of those that the user set."""


class Parser(argparse.ArgumentParser):
    """A parser that raises a `WrongRequest`."""

    def error(self, message: str) -> NoReturn:
        """Raise the message in the form of all other ones."""
        absent = "the following arguments are required: "
        if message.startswith(absent):
            name = message.removeprefix(absent).partition(",")[0]
            text = next(action.help for action in self._actions if action.metavar == name)
            message = f"{self.prog} needs {name}: {text}"
        message = message.replace(": ignored explicit argument", " takes no value; got")
        raise WrongRequest(message.removeprefix("argument ").replace(": must", " must"))


class Formatter(argparse.RawDescriptionHelpFormatter):
    """A help page whose lines do not break at a hyphen, as in ``mnist-conv``."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


class Options:
    """The options of a command; a call adds one.

    Parameters
    ----------
    command : str
        Name of the command.
    defaults : mapping
        Defaults that replace those of the options, as of a recipe or of a resumed run.
    """

    def __init__(self, command: str, defaults: Mapping[str, Any]) -> None:
        width = min(100, shutil.get_terminal_size().columns)
        self.parser: Parser = Parser(
            prog=f"spikemnist {command}",
            add_help=False,
            allow_abbrev=False,
            formatter_class=lambda prog: Formatter(prog, max_help_position=24, width=width),
        )
        self.defaults: dict[str, Any] = dict(defaults)
        self.flags: list[str] = []
        self.arguments: list[str] = []
        self._group: Any = self.parser.add_argument_group("options")

    def group(self, title: str) -> None:
        """Begin a group of options."""
        self._group = self.parser.add_argument_group(title)

    def argument(self, name: str, text: str, value: str, *, several: bool = False) -> None:
        """Add an argument without a flag, a path that is required."""
        nargs = "+" if several else None
        self.parser.add_argument(name, metavar=value, help=text, type=Path, nargs=nargs)
        self.arguments.append(f"{value} [{value} ...]" if several else value)

    def __call__(
        self,
        name: str,
        text: str,
        default: Any = None,
        *,
        kind: Callable[[str], Any] | None = None,
        names: Iterable[str] = (),
        value: str = "",
        absent: str = "",
        undo: bool = False,
    ) -> None:
        """Add an option.

        Parameters
        ----------
        name : str
            ``--flag``.
        text : str
            Description.
        default : object, default None
            Value without the option. False makes it a flag; a tuple lets it take several values.
        kind : callable, default None
            Function from a word to a value.
        names : iterable of str, default ()
            Values to choose from.
        value : str, default ""
            Placeholder of the value.
        absent : str, default ""
            Description of a default that is None.
        undo : bool, default False
            Whether a flag has a ``--no-`` form.
        """
        several = isinstance(default, tuple)
        default = self.defaults.setdefault(name[2:].replace("-", "_"), default)
        names = [*names]
        options: dict[str, Any] = {
            "type": kind,
            "metavar": value,
            "nargs": "+" if several else None,
        }
        if isinstance(default, bool):
            options = {"action": argparse.BooleanOptionalAction if undo else "store_true"}
        elif names:
            braces = f"{{{','.join(names)}}}"
            options |= {"type": one_of(names), "metavar": braces if len(braces) < 25 else "NAME"}
            if len(braces) >= 25 and not all(name in text for name in names):
                text = f"{text}; {'some' if several else 'one'} of {', '.join(names)}"
        if value_text := shown(default) or absent:
            text += f" (default: {value_text})"
        text = text.replace("%", "%%")
        action = self._group.add_argument(name, help=text, default=argparse.SUPPRESS, **options)
        self.flags += action.option_strings

    def shared(self, *names: str) -> None:
        """Add options that several commands have: see `SHARED`."""
        for name in names:
            text, default, kind, value = SHARED[name]
            self(name, text, default, kind=kind, value=value)

    def fields(self, kind: Any, **more: str) -> None:
        """Add an option for each field of a dataclass; those in ``more`` get another text.

        The first sentence of a field in the docstring describes it, and its annotation has the
        values.
        """
        texts = field_texts(kind)
        for field in dataclasses.fields(kind):
            words = re.findall(r"\w+", str(field.type))
            names = [name for word in words for name in get_args(vars(_names).get(word))]
            self(
                flag(field.name),
                more.get(field.name, texts.get(field.name, "")),  # none under python -OO
                field.default,
                kind=whole() if words[0] == "int" else number(),
                names=[*names, "none"] if words[0] == "tuple" else names,
                value="N" if words[0] == "int" else "X",
                undo=True,
            )

    def parse(self, words: Sequence[str]) -> Command:
        """Return the options in the words; ``user_options`` are those in them.

        Raises
        ------
        WrongRequest
            With the option, what was expected, and a suggestion.
        """
        options, unknown = self.parser.parse_known_intermixed_args(words)
        if unknown:
            word = unknown[0].partition("=")[0]
            raise WrongRequest(f"{self.parser.prog} has no {word}{suggestion(word, self.flags)}")
        for name, value in vars(options).items():
            if isinstance(value, list):
                setattr(options, name, () if value == ["none"] else tuple(value))
                if "none" in value[1:] or value[0] == "none" != value[-1]:
                    raise WrongRequest(f"{flag(name)}: none stands alone; got {' '.join(value)}")
        return Command(**{**self.defaults, **vars(options), "user_options": {*vars(options)}})


HELP = {"-h", "--help"}


def options_of(name: str, module: Any, defaults: Mapping[str, Any] | None = None) -> Options:
    """Return the options of a command, with other defaults if there are any."""
    add = Options(name, defaults or {})
    module.add_options(add)
    add.group("output")
    add("--json", "print the result as a line of JSON", False)
    add("--quiet", "print only the result, without progress", False)
    add("--verbose", "also print all settings, the network and the device", False)
    add("--debug", "show the traceback of an error", False)
    return add


def parse(name: str, module: Any, words: Sequence[str]) -> Command:
    """Return the options of a command in the words.

    Raises
    ------
    WrongRequest
        If the words cannot be understood, or options do not fit each other.
    """
    command = options_of(name, module).parse(words)
    if hasattr(module, "defaults"):
        # Only what the user gave replaces the options of a recipe, or of the run that is resumed.
        for option, value in module.defaults(command).items():
            if option not in command.user_options:
                setattr(command, option, value)
    if hasattr(module, "check"):
        module.check(command)
    return command


def help_page(name: str, module: Any, words: Sequence[str]) -> str:
    """Return the help of a command, with the defaults that follow from the other words."""
    defaults: Mapping[str, Any] = {}
    if hasattr(module, "defaults"):
        with contextlib.suppress(WrongRequest):
            known = [word for word in words if word not in HELP]
            defaults = module.defaults(options_of(name, module).parse(known))
    options = options_of(name, module, defaults)
    parser = options.parser
    parser.usage = " ".join(["%(prog)s [OPTIONS]", *options.arguments])
    parser.description = "\n".join(textwrap.wrap(module.SUMMARY, 78))
    parser.epilog = f"examples:\n{textwrap.indent(module.EXAMPLES.strip(), '  ')}"
    return parser.format_help().rstrip()


def shown(default: Any) -> str:
    """Return a value as the help shows it; empty for None and False."""
    if default is None or default is False:
        return ""
    if isinstance(default, tuple | list):
        return " ".join(map(str, default)) or "none"
    return "on" if default is True else str(default)


def field_texts(kind: Any) -> dict[str, str]:
    """Return the first sentence on each field in the docstring of a dataclass."""
    entries = re.findall(r"^(\w.*) : .*\n((?:    .+\n)+)", inspect.getdoc(kind) or "", re.MULTILINE)
    texts: dict[str, str] = {}
    for fields, text in entries:
        sentence = re.split(r"\.(?:\s|$)", " ".join(text.split()))[0]
        plain = re.sub(r"[`\"]", "", sentence)
        texts |= dict.fromkeys(fields.split(", "), plain[0].lower() + plain[1:])
    return texts


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return the type of an option that takes one of several names."""

    def convert(word: str) -> str:
        if word not in names:
            reason = suggestion(word, names) or f"; choose from {', '.join(names)}"
            raise argparse.ArgumentTypeError(f"unknown {word!r}{reason}")
        return word

    return convert


def whole(low: float = -math.inf, high: float = math.inf) -> Callable[[str], int]:
    """Return the type of an option that takes a whole number in a range."""
    least = f", at least {low}" if low > -math.inf else ""
    limits = f" from {low:,} to {high:,}" if high < math.inf else least
    return _converter(int, f"a whole number{limits}", lambda value: low <= value <= high)


def number(low: float = -math.inf, high: float = math.inf) -> Callable[[str], float]:
    """Return the type of an option that takes a number from ``low`` to below ``high``."""
    limits = f" that is at least {low:g} and below {high:g}" if high < math.inf else ""
    return _converter(float, f"a number{limits}", lambda value: not limits or low <= value < high)


def _converter(kind: Any, expected: str, fits: Callable[[Any], bool]) -> Callable[[str], Any]:
    """Return the type of an option that takes numbers that fit."""

    def convert(word: str) -> Any:
        with contextlib.suppress(ValueError):
            if fits(value := kind(word)):
                return value
        raise argparse.ArgumentTypeError(f"must be {expected}; got {word!r}")

    return convert


CODES_TEXT = f"code that turns images into spikes: {', '.join(ENCODERS)}; events is for nmnist"
SHARED: dict[str, tuple[str, Any, Callable[[str], Any] | None, str]] = {
    "--encoder": (CODES_TEXT, "latency", None, "NAME"),
    "--num-steps": ("timesteps for each sample", NUM_STEPS, whole(1, 100_000), "T"),
    "--index": ("index of the sample in the test set, from 0", 0, whole(0), "N"),
    "--device": ("PyTorch device; auto uses CUDA, else MPS, else the CPU", "auto", None, "NAME"),
    "--seed": ("seed of random encoders such as rate", 0, whole(0, 2**63 - 1), "N"),
}
"""Text, default, type and placeholder of the options that several commands have."""

"""Limits of numeric options, checked for every command before anything begins.

Nothing heavy is imported here, so that a wrong number is refused at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from spikemnist.cli.errors import WrongRequest

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Limits:
    """A range of numbers: a description, and the test for a member. Annotates an option's type."""

    description: str
    contains: Callable[[float], bool]


def integers(low: int, high: int) -> Limits:
    """Return the limits of a whole number."""
    return Limits(f"a whole number from {low:,} to {high:,}", lambda n: low <= n <= high)


COUNT = integers(1, 1_000_000)
STEPS = integers(1, 100_000)
INDEX = Limits("a whole number, at least 0", lambda n: n >= 0)
SEED = integers(0, 2**63 - 1)
POSITIVE = Limits("a positive, finite number", lambda x: 0 < x < math.inf)
MILLIVOLTS = Limits("a number from 0 to 1,000", lambda x: 0 <= x <= 1000)
SHARE = Limits("a number from 0 to 1", lambda x: 0 <= x <= 1)
PART = Limits("a number between 0 and 1", lambda x: 0 < x < 1)
NOT_NEGATIVE = Limits("a finite number, at least 0", lambda x: 0 <= x < math.inf)
PROBABILITY = Limits("a probability in [0, 1)", lambda x: 0 <= x < 1)


def flag(name: str) -> str:
    """Return the option of a field: ``--num-steps`` for ``num_steps``."""
    return f"--{name.replace('_', '-')}"


def types_of(kind: Any, *, include_extras: bool = False) -> dict[str, Any]:
    """Return the types of a command's options by name, including options in groups."""
    types: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=include_extras).items():
        group = is_dataclass(hint)
        types |= types_of(hint, include_extras=include_extras) if group else {name: hint}
    return types


def values_of(command: Any) -> dict[str, Any]:
    """Return the values of a command's options by name, including options in groups."""
    values: dict[str, Any] = {}
    for name, value in vars(command).items():
        values |= vars(value) if is_dataclass(value) else {name: value}
    return values


def limits_of(kind: Any) -> dict[str, Limits]:
    """Return the limits of a command's options by name."""
    return {
        name: part
        for name, hint in types_of(kind, include_extras=True).items()
        for part in getattr(hint, "__metadata__", ())
        if isinstance(part, Limits)
    }


def check_numbers(command: Any) -> None:
    """Compare every number of a command with its limits.

    Raises
    ------
    WrongRequest
        With the option, its limits and the number.
    """
    values = values_of(command)
    for name, limits in limits_of(type(command)).items():
        value = values[name]
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not limits.contains(number):
                raise WrongRequest(f"{flag(name)} must be {limits.description}; got {number}")

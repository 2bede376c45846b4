"""The definition of a class of attacks, and the random numbers of a case."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A class of attacks.

    Attributes
    ----------
    name
        Short name for the command line and the table.
    expectation
        The expected result of each case, as a sentence.
    prepare
        Function that makes the material of all cases in its own folder: undamaged files,
        undisturbed runs.
    case
        Function that attacks once, in an empty folder, which is also the working directory. It
        returns None if the expectation holds, else a line that describes the failure. Its module
        lists the attack in ``ATTACKS``.
    limit
        Largest duration of a case in seconds; a longer case has failed.
    """

    name: str
    expectation: str
    prepare: Callable[[Path], Any]
    case: Callable[[Any, random.Random, Path], str | None]
    limit: float = 60.0


def random_of(name: str, seed: int, case: int) -> random.Random:
    """Return the random generator of a case, the same on every machine."""
    return random.Random(f"{name}/{seed}/{case}")


def one_line(error: BaseException) -> str:
    """Return an exception as a line of at most 300 characters."""
    text = f"{type(error).__name__}: {error}".replace("\n", "\\n")
    return text if len(text) <= 300 else f"{text[:300]}..."

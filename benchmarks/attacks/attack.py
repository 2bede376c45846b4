"""What a class of attacks is, and how the random numbers of a case come about."""

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
        Short, for the command line and the table.
    expectation
        What holds in each case, as a sentence.
    prepare
        Makes the material of all cases in a folder of its own: sound files, undisturbed runs.
    case
        Function that attacks once, in an empty folder, which is also the working directory. It
        returns None where the expectation holds, else a line that says what happened. Its module
        lists the attack in ``ATTACKS``.
    limit
        Seconds that a case may take; longer is a failure.
    """

    name: str
    expectation: str
    prepare: Callable[[Path], Any]
    case: Callable[[Any, random.Random, Path], str | None]
    limit: float = 60.0


def random_of(name: str, seed: int, case: int) -> random.Random:
    """Return the random numbers of a case, the same on every machine."""
    return random.Random(f"{name}/{seed}/{case}")


def one_line(error: BaseException) -> str:
    """Return an exception as a line of at most 300 characters."""
    text = f"{type(error).__name__}: {error}".replace("\n", "\\n")
    return text if len(text) <= 300 else f"{text[:300]}..."

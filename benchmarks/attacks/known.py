"""Failures that are known and accepted, each with its reason."""

from __future__ import annotations

import re
from typing import NamedTuple


class Known(NamedTuple):
    """A failure of a class of attacks, by a pattern that its line matches."""

    attack: str
    pattern: str
    reason: str


KNOWN: tuple[Known, ...] = (
    Known(
        "shapes",
        r"^linear .*RuntimeError: mat1 and mat2 shapes",
        "`ops.linear` is torch's own product, and torch's message has both shapes",
    ),
)


def reason_of(attack: str, failure: str) -> str | None:
    """Return why a failure is accepted, or None for a new one."""
    for known in KNOWN:
        if known.attack == attack and re.search(known.pattern, failure):
            return known.reason
    return None

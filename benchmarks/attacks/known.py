"""Failures that are known and accepted, each with its reason."""

from __future__ import annotations

import re
from typing import NamedTuple


class Known(NamedTuple):
    """A known failure of a class of attacks, as a pattern for its failure line."""

    attack: str
    pattern: str
    reason: str


_TORCH_SAYS = (
    r"RuntimeError: (mat1 and mat2|Given (groups|weight)|Calculated padded|expected stride|"
    r"The expanded size|(self|mat1) and mat2 must have|Expected \dD|t\(\) expects|"
    r"Input type \(.*\) and (weight|bias) type)"
)
_SAFE = "torch's own operator refuses it before any kernel runs, and names the shapes"

KNOWN: tuple[Known, ...] = (
    Known("shapes", rf"^(run_linear|convolve) .*{_TORCH_SAYS}", _SAFE),
    Known("exchanged", _TORCH_SAYS, _SAFE),
    Known(
        "threads",
        r"^\d threads, (constant input|changing input, (conv |mlp \(\)|mlp \(\d+, ))",
        "torch's own products and convolutions take part, whose sums follow the number of threads",
    ),
    Known(
        "requests",
        r"[= ]None: exit code 0",
        "the parser takes the word None for an option left out",
    ),
)


def reason_of(attack: str, failure: str) -> str | None:
    """Return the reason to accept a failure, or None for a new failure."""
    for known in KNOWN:
        if known.attack == attack and re.search(known.pattern, failure):
            return known.reason
    return None

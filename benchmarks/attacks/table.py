"""Count the results of cases, and format them as a table."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.attacks.known import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.attacks.workers import Outcome


SHOWN = 10
"""Largest number of further cases that the line of a new failure lists."""


@dataclass
class Tally:
    """Results of the cases of a class.

    Attributes
    ----------
    name
        Name of the class.
    held
        Number of cases in which the expectation held.
    new
        New failures by the number of their case; -1 is the preparation.
    accepted
        Number of failures for each reason in `known`.
    """

    name: str
    held: int = 0
    new: dict[int, str] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)

    @property
    def tried(self) -> int:
        """Number of cases with a result."""
        failed = sum(case >= 0 for case in self.new)
        return self.held + failed + self.accepted.total()

    def add(self, outcome: Outcome) -> None:
        """Add the result of a case."""
        if outcome.failure is None:
            self.held += 1
        elif (reason := reason_of(self.name, outcome.failure)) is not None:
            self.accepted[reason] += 1
        else:
            self.new[outcome.case] = outcome.failure


def as_table(tallies: Sequence[Tally]) -> str:
    """Return a Markdown table with the counts and failures of each class."""
    rows = ["| class | tried | held | failed | what failed |", "|---|---|---|---|---|"]
    for tally in tallies:
        if not tally.tried:
            why = tally.new.get(-1, "no time")
            rows.append(f"| {tally.name} | not run | | | {why} |")
            continue
        failed = tally.tried - tally.held
        what = [f"{number} accepted: {reason}" for reason, number in tally.accepted.items()]
        if tally.new:
            example = next(iter(tally.new.values()))
            what.insert(0, f"{len(tally.new)} new, such as: {example}")
        text = "; ".join(what).replace("|", "\\|")
        rows.append(f"| {tally.name} | {tally.tried} | {tally.held} | {failed} | {text} |")
    return "\n".join(rows)


def new_failures(tallies: Sequence[Tally], seed: int) -> list[str]:
    """Return a line for each kind of new failure, with the command that repeats it."""
    lines = []
    for tally in tallies:
        kinds: dict[str, list[int]] = {}
        for case, failure in tally.new.items():
            kinds.setdefault(_kind(failure), []).append(case)
        for cases in kinds.values():
            where = f" --case {cases[0]}" if cases[0] >= 0 else ""
            command = f"python -m benchmarks.attacks --only {tally.name} --seed {seed}{where}"
            lines += [f"{tally.name}: {tally.new[cases[0]]}", f"    {command}{_others(cases[1:])}"]
    return lines


def _others(cases: Sequence[int]) -> str:
    shown = ", ".join(map(str, cases[:SHOWN]))
    more = f" and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
    return f"   (and case {shown}{more})" if cases else ""


def _kind(failure: str) -> str:
    """Return the words of a failure without numbers and names, which group similar failures."""
    return re.sub(r"/\S+|[-+]?\d[\d.e+-]*|'[^']*'|\b(nan|inf)\b", "#", failure.split(": ", 1)[-1])

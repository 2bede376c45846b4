"""A covering design: few cases in which every pair of values meets."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import Any

Case = dict[str, Any]


def pairs(
    possible: Callable[[Case], bool] = lambda case: True, **factors: Sequence[Any]
) -> list[Case]:
    """Return cases, a value of each factor, in which every possible pair of values meets.

    Most faults need one value or a pair of them, so that the product of all factors finds hardly
    more. Each case is the best of twenty that are drawn around a pair that has not met yet.

    Examples
    --------
    >>> design = pairs(reset=["subtract", "zero"], steps=[1, 7], batch=[0, 3])
    >>> len(design), {(case["steps"], case["batch"]) for case in design} == {*itertools.product(
    ...     [1, 7], [0, 3])}
    (4, True)
    """
    draw = random.Random(0)
    names = list(factors)
    places = [(name, index) for name in names for index in range(len(factors[name]))]
    left = {(one, other) for one, other in itertools.combinations(places, 2) if one[0] != other[0]}
    cases = []
    while left:
        first = min(left)
        drawn = [
            dict(first)
            | {n: draw.randrange(len(factors[n])) for n in names if n not in dict(first)}
            for _ in range(20)
        ]
        fit = [one for one in drawn if possible({n: factors[n][one[n]] for n in names})]
        if not fit:
            left.discard(first)  # the two exclude one another
            continue
        best = max(fit, key=lambda one: len(left & met(one, names)))
        left -= met(best, names)
        cases.append({name: factors[name][best[name]] for name in names})
    return cases


def named(case: Case) -> str:
    """Return the name of a case for pytest."""
    return "-".join(map(str, case.values()))


def met(case: dict[str, int], names: list[str]) -> set[tuple[tuple[str, int], tuple[str, int]]]:
    """Return the pairs of a case."""
    return set(itertools.combinations([(name, case[name]) for name in names], 2))

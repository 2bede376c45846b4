"""How the time of a training step grows with timesteps, batch and width."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.comparison import no_ratio
from benchmarks.plan import AXES
from benchmarks.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.plan import Plan

STAGE = "training step"


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return k of the power law ``seconds = c sizes ** k`` that fits best.

    Least squares of the logarithms.

    Examples
    --------
    >>> round(exponent([1, 10, 100], [3.0, 30.0, 300.0]), 6)
    1.0
    """
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)


def fit(networks: Sequence[Mapping[str, Any]], plan: Plan) -> list[dict[str, Any]]:
    """Return points and exponent of each sweep of each candidate.

    Parameters
    ----------
    networks
        As `benchmarks.networks.measure` returns them.
    plan
        Says which sweeps there are.

    Returns
    -------
    list of dict
        Without the sweeps of which fewer than two points were measured on a quiet machine.
    """
    measured = {workload_of(network): network["candidates"] for network in networks}
    names = list(dict.fromkeys(itertools.chain.from_iterable(measured.values())))
    found = []
    for code, axis, name in itertools.product(plan.codes, AXES, names):
        timings = {
            getattr(workload, axis): measured[workload][name]["stages"].get(STAGE)
            for workload in plan.sweep(axis, code)
            if name in measured.get(workload, {})
        }
        points = {
            size: timing["median"] for size, timing in timings.items() if not no_ratio(timing)
        }
        if len(points) > 1:
            sizes, seconds = list(points), list(points.values())
            found.append(
                {
                    "code": code,
                    "axis": axis,
                    "candidate": name,
                    "sizes": sizes,
                    "seconds": seconds,
                    "exponent": exponent(sizes, seconds),
                }
            )
    return found


def workload_of(network: Mapping[str, Any]) -> Workload:
    """Return the workload that a result is of."""
    return Workload(**{field.name: network[field.name] for field in fields(Workload)})

"""Growth of the time of a training step with timesteps, batch and width."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from benchmarks.comparison import no_ratio
from benchmarks.plan import AXES
from benchmarks.workload import Workload

STAGE = "training step"


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the exponent k of the best fit ``seconds = c sizes ** k``.

    The fit is a least-squares fit of the logarithms.

    Examples
    --------
    >>> round(exponent([1, 10, 100], [3.0, 30.0, 300.0]), 6)
    1.0
    """
    slope, _ = np.polyfit(np.log(sizes), np.log(seconds), 1)
    return float(slope)


def sweeps(networks: Sequence[Mapping[str, Any]], base: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the points and the exponent of each sweep of each candidate.

    Parameters
    ----------
    networks : sequence of mapping
        Results of `benchmarks.networks.measure`.
    base : mapping
        Workload at which the sweeps cross.

    Returns
    -------
    list of dict
        Sweeps with at least three points that were measured on a quiet machine.
    """
    measured = {workload_of(network): network["candidates"] for network in networks}
    codes = dict.fromkeys(workload.code for workload in measured)
    names = dict.fromkeys(itertools.chain.from_iterable(measured.values()))
    found = []
    for code, axis, name in itertools.product(codes, AXES, names):
        crossing = replace(Workload(**base), code=code)
        timings = {
            getattr(workload, axis): candidates[name]["stages"].get(STAGE)
            for workload, candidates in measured.items()
            if replace(workload, **{axis: getattr(crossing, axis)}) == crossing
            if name in candidates
        }
        points = {
            size: timing["median"]
            for size, timing in sorted(timings.items())
            if not no_ratio(timing)
        }
        if len(points) > 2:
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
    """Return the workload of a result."""
    return Workload(**{field.name: network[field.name] for field in fields(Workload)})

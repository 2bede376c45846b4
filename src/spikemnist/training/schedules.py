"""Learning-rate schedules: pure functions of the progress of the training.

They have no state, so a resumed run has nothing to restore.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from spikemnist._signatures import takes

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """Return 1."""
    return 1.0


def cosine(progress: float) -> float:
    r"""Decay to zero along a cosine: :math:`(1 + \cos \pi p) / 2`.

    Loshchilov, Hutter, *SGDR: stochastic gradient descent with warm restarts*, ICLR 2017.

    Examples
    --------
    >>> cosine(0.0), cosine(0.5), cosine(1.0)
    (1.0, 0.5, 0.0)
    """
    return round((1 + math.cos(math.pi * progress)) / 2, 15)


def one_cycle(progress: float) -> float:
    """Rise from 1/25 to 1 in the first 30 %, then decay to zero, both along a cosine.

    Smith, Topin, *Super-convergence*, arXiv:1708.07120, 2017.

    Examples
    --------
    >>> [round(one_cycle(p), 2) for p in (0.0, 0.3, 1.0)]
    [0.04, 1.0, 0.0]
    """
    warm_up, start = 0.3, 1 / 25
    if progress < warm_up:
        return 1 - (1 - start) * cosine(progress / warm_up)
    return cosine((progress - warm_up) / (1 - warm_up))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


def get_schedule(schedule: str | Schedule) -> Schedule:
    """Return the schedule of this name; a function is returned unchanged.

    Parameters
    ----------
    schedule : str or callable
        ``"constant"``, ``"cosine"``, ``"one_cycle"``, or a function from progress in [0, 1] to
        the factor on the learning rate.

    Raises
    ------
    ValueError
        If the name is unknown, or the object is no such function.
    """
    if not isinstance(schedule, str) and takes(schedule, 1):
        return schedule
    if schedule not in SCHEDULES:
        raise ValueError(
            f"schedule must be one of {', '.join(SCHEDULES)}, or a function of the progress in "
            "[0, 1] that returns a factor on the learning rate, such as "
            f"lambda progress: 1 - progress; got {schedule!r}"
        )
    return SCHEDULES[schedule]

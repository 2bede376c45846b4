"""Step sizes with which all neurons come to fire, and warnings where they do not.

Shapes: ``B`` images, ``N`` neurons.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from spikemnist._tensors import Array

LONG, SHORT = 20_000, 1_000
"""Numbers of presentations in all passes. With more than the first, the steps of 400 neurons remain
the same; with fewer than the second, no step becomes longer."""

MANY, THETA_PLUS, LEARNING_RATE = 400, 0.05, 0.005
"""A number of neurons, and in a long training their step of a threshold at a spike, in mV, and
learning rate."""

MONOPOLY = 0.25
"""Share of all spikes above which a neuron is reported."""

IDLE = 0.05
"""Share of neurons that never fired above which they are reported."""


def step_sizes(parameters: Mapping[str, Any], images: int = LONG) -> dict[str, float]:
    """Return ``theta_plus`` and ``learning_rate`` for a number of presentations in all passes."""
    # N neurons share the spikes of B images. With few spikes for each, its adaptation must rise
    # from 0 to the level at which other neurons win as well: the step is proportional to N / B.
    # With many, decay keeps the adaptation at this level, and the step decides how many neurons
    # fire for an image: always as many with a step proportional to N, in proportion to N with equal
    # steps. The power lies between. Weights must turn from noise into a digit, with a rate in
    # proportion to 1 / B. A neuron among many need not average over as many images; but from four
    # times as many on, higher rates leave neurons silent. Chosen for 20 to 6,400 neurons with
    # 1,000 to 150,000 presentations of training images and 4,000 to 10,000 held-out ones.
    size, shortage = parameters["n_neurons"] / MANY, LONG / max(images, SHORT)
    derived = {
        "theta_plus": THETA_PLUS * max(size * shortage, size**0.75),
        "learning_rate": LEARNING_RATE * max(1.0, math.sqrt(min(size, 4)) * max(1.0, shortage)),
    }
    chosen = {name: parameters[name] for name in derived if parameters[name] is not None}
    return {name: float(step) for name, step in (derived | chosen).items()}


def step_factor(share: float) -> float:
    """Return the factor of all steps after a share of a training, from 2 down to 0.

    Long steps let all neurons come to fire. Short ones average weights over many images, and make
    thresholds exact: a step of 0.2 mV raises the input that a neuron needs to fire by 1 to 2 %, and
    it fires several times for an image. Chosen for 400 and 1,600 neurons, 4,000 and 50,000 training
    images and 4,000 and 10,000 held-out ones.
    """
    return 2 * (1 - share)


def warn_of_idle(spikes: Array, theta_plus: float) -> None:
    """Warn of neurons that never fire, and of a neuron that fires instead of all others.

    Parameters
    ----------
    spikes : numpy.ndarray
        Spikes of each neuron for all images, ``[N]``.
    theta_plus : float
        Step of the adaptation, in mV.
    """
    idle, size = int((spikes == 0).sum()), len(spikes)
    if idle == size:
        warnings.warn(
            "no neuron ever fired: the images are blank, or max_rate is too low", stacklevel=3
        )
        return
    remedy = f"raise theta_plus ({theta_plus:.2g} mV), train on more images, or use fewer neurons"
    if idle > IDLE * size:
        warnings.warn(f"{idle} of {size} neurons never fired: {remedy}", stacklevel=3)
    share = spikes.max() / spikes.sum()
    if size * MONOPOLY > 1 and share > MONOPOLY:
        warnings.warn(
            f"neuron {int(spikes.argmax())} made {share:.0%} of all spikes: {remedy}", stacklevel=3
        )

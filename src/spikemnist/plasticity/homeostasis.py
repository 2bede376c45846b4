"""Adaptive thresholds that let all neurons take part: how fast they rise, and what shows when not.

Shapes: ``N`` neurons.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikemnist.plasticity.classifier import STDPClassifier

    Array = NDArray[Any]

LONG, SHORT = 20_000, 1_000
"""Presentations of all passes between which the defaults follow their number."""

THETA_PLUS = 0.05 / 400
"""What a spike adds to a threshold for each neuron, in mV, in a long training."""

LEARNING_RATE = 0.005
"""The learning rate in a long training."""

LEVEL = 2 / 3
"""Mean adaptation at which all neurons take part, as a share of the way from the threshold to the
excitatory reversal potential."""

FARTHEST = 10
"""Factor up to which the step that reaches the level is extrapolated."""

MONOPOLY = 0.25
"""Share of all spikes from which a neuron is reported."""

IDLE = 0.05
"""Share of neurons that never fired from which they are reported."""


class Pace(NamedTuple):
    """How far a spike moves the neuron that made it: its threshold, in mV, and its weights."""

    theta_plus: float
    learning_rate: float


def pace(parameters: STDPClassifier, images: int = LONG) -> Pace:
    """Return the pace of a classifier for a number of presentations, those of all passes."""
    # N neurons share the spikes of B images, so that each makes in proportion to B / N. By them
    # its threshold must rise from 0 to the level at which others win as well: the step goes with
    # N / B. By them its weights must turn from noise into a digit: the rate goes with 1 / B, but
    # not with N, since a neuron among many need not average over as many images. With more than
    # LONG images, the steps of LONG leave time to settle. LONG was chosen for 400 neurons, with
    # 5,000 training images for each of three seeds, and 4,000 others that judged.
    shortage = LONG / min(max(images, SHORT), LONG)
    theta_plus, learning_rate = parameters.theta_plus, parameters.learning_rate
    return Pace(
        THETA_PLUS * parameters.n_neurons * shortage if theta_plus is None else float(theta_plus),
        LEARNING_RATE * shortage if learning_rate is None else float(learning_rate),
    )


def warn_of_idle(spikes: Array, theta: Array, theta_plus: float, reach: float) -> None:
    """Warn of neurons that never fire, and of one that fires for all the others.

    Parameters
    ----------
    spikes : numpy.ndarray
        Spikes of each neuron for all images, ``[N]``.
    theta : numpy.ndarray
        Adaptation of the thresholds, in mV, ``[N]``.
    theta_plus : float
        Step of the adaptation, in mV.
    reach : float
        Excitatory reversal potential less the threshold, in mV.
    """
    fired, size = int((spikes > 0).sum()), len(spikes)
    if not fired:
        warnings.warn(
            f"{size} of {size} neurons never fired: the images are blank, or max_rate too low",
            stacklevel=3,
        )
        return
    higher = _higher(float(theta.mean()), theta_plus, LEVEL * reach)
    if size - fired > IDLE * size:
        remedy = higher or f"try n_neurons={fired}, or more passes"
        warnings.warn(f"{size - fired} of {size} neurons never fired: {remedy}", stacklevel=3)
    share = spikes.max() / spikes.sum()
    if size * MONOPOLY > 1 and share > MONOPOLY:
        remedy = higher or "show more images"
        warnings.warn(
            f"neuron {int(spikes.argmax())} made {share:.0%} of all spikes: {remedy}", stacklevel=3
        )


def _higher(mean: float, theta_plus: float, level: float) -> str:
    """Return the step with which thresholds would have risen to a level, as advice; or nothing."""
    if mean >= 0.9 * level:
        return ""
    if not theta_plus:
        return "thresholds do not adapt, try theta_plus=None"
    factor = level / max(mean, level / FARTHEST)
    return (
        f"thresholds rose by {mean:.2g} mV of some {level:.2g}, "
        f"try theta_plus={theta_plus * factor:.2g}"
    )

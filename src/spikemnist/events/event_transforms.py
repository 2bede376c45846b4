"""Transforms of event-camera recordings, applied when a recording is read.

A transform takes events, the height and width of their sensor, and a generator. It returns events
and sensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikemnist._arguments import named, set_numbers
from spikemnist.events.recordings import Events

Sensor = tuple[int, int]

SACCADE = 105_000
"""Microseconds from the start of one saccade of N-MNIST to the start of the next."""


@dataclass(frozen=True)
class FirstSaccade:
    """Keep the first of the three saccades of N-MNIST: the events of the first 105 ms.

    Examples
    --------
    >>> from spikemnist.data import EVENT
    >>> events = np.array([(0, 5, 5, True), (110_000, 6, 5, True)], EVENT)  # microseconds
    >>> kept, sensor = FirstSaccade()(events, (34, 34), np.random.default_rng(0))
    >>> kept["t"].tolist(), sensor
    ([0], (34, 34))
    """

    def __call__(
        self, events: Events, sensor: Sensor, generator: np.random.Generator
    ) -> tuple[Events, Sensor]:
        """Drop the later events."""
        return events[events["t"] < SACCADE], sensor


@named()
@dataclass(frozen=True)
class DropEvents:
    """Drop each event with a given probability, as an augmentation for training.

    Parameters
    ----------
    probability : float
        Probability that an event is dropped, in [0, 1).

    Raises
    ------
    ValueError
        For a probability out of range.

    Examples
    --------
    >>> from spikemnist.data import EVENT
    >>> events = np.zeros(1000, EVENT)
    >>> kept, _ = DropEvents(0.3)(events, (34, 34), np.random.default_rng(0))
    >>> round(len(kept) / len(events), 1)
    0.7
    """

    probability: float

    def __post_init__(self) -> None:
        set_numbers(self, probability="[0, 1)")

    def __call__(
        self, events: Events, sensor: Sensor, generator: np.random.Generator
    ) -> tuple[Events, Sensor]:
        """Drop some of the events."""
        return events[generator.random(len(events)) >= self.probability], sensor

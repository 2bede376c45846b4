"""Transforms of event-camera recordings, applied when a recording is read.

A transform takes events, the height and width of their sensor, and a generator. It returns events
and sensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikemnist.data.events import Events

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


@dataclass(frozen=True)
class Crop:
    """Keep a window of the sensor.

    Parameters
    ----------
    height, width : int
        Size of the window, in pixels.
    random : bool, default False
        Whether the position of the window is drawn anew for each recording; otherwise it is
        centred. Train with random windows and test with centred ones.

    Raises
    ------
    ValueError
        For a height or a width that is not an integer, or below 1; when called, for a window larger
        than the sensor.

    Examples
    --------
    >>> from spikemnist.data import EVENT
    >>> events = np.array([(0, 5, 5, True), (10, 33, 33, True)], EVENT)
    >>> kept, sensor = Crop(28, 28)(events, (34, 34), np.random.default_rng(0))
    >>> kept["x"].tolist(), sensor  # the window begins in column 3
    ([2], (28, 28))
    """

    height: int
    width: int
    random: bool = False

    def __post_init__(self) -> None:
        sides = self.height, self.width
        if not all(isinstance(side, int) and side >= 1 for side in sides):
            raise ValueError(
                f"height and width of the window must be integers >= 1; got {self.height} x "
                f"{self.width}"
            )

    def __call__(
        self, events: Events, sensor: Sensor, generator: np.random.Generator
    ) -> tuple[Events, Sensor]:
        """Drop the events outside the window."""
        room = sensor[0] - self.height, sensor[1] - self.width
        if min(room) < 0:
            raise ValueError(
                f"a window of {self.height} x {self.width} does not fit into a sensor of "
                f"{sensor[0]} x {sensor[1]}"
            )
        if self.random:
            top, left = (int(generator.integers(free + 1)) for free in room)
        else:
            top, left = (free // 2 for free in room)
        result = events.copy()
        result["x"] -= left
        result["y"] -= top
        inside = (result["x"] >= 0) & (result["x"] < self.width)
        inside &= (result["y"] >= 0) & (result["y"] < self.height)
        return result[inside], (self.height, self.width)


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
        if not 0 <= self.probability < 1:
            raise ValueError(f"probability must lie in [0, 1); got {self.probability}")

    def __call__(
        self, events: Events, sensor: Sensor, generator: np.random.Generator
    ) -> tuple[Events, Sensor]:
        """Drop some of the events."""
        return events[generator.random(len(events)) >= self.probability], sensor

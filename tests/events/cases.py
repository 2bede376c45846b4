"""Recordings for the laws of all codes, runs and pictures."""

from __future__ import annotations

import numpy as np

from spikemnist import Classifier, LeakyMLP, viz
from spikemnist.data import EVENT, DropEvents
from spikemnist.encoding import EventEncoder
from tests.events.event_recordings import MovingBars, random_events

OF_EVENTS = [EventEncoder(num_steps=5, polarity="merged")]

INTEGERS = [("duration", lambda n: EventEncoder(duration=n))]
"""Calls with an integer."""


def of_events() -> Classifier:
    network = LeakyMLP((32,), in_features=2 * 8 * 8, out_features=4, threshold=0.3, seed=0)
    return Classifier(network, EventEncoder(num_steps=8))


MANY = {"train": MovingBars(160).dataset().transformed(DropEvents(0.2)), "augment": ()}
TO_RESUME = [("recordings", (of_events, MANY))]

FEW = MovingBars(40).dataset()
RUNS = [("events", (of_events, {"train": FEW, "augment": ()}))]
OTHER = [("events", {"train": FEW.transformed(DropEvents(0.1))}, "data.changes was []")]
"""Kinds of runs, changes of their settings, and the difference in words."""

EVENTS, LAST = random_events(100, seed=0), np.array([(10_999, 4, 2, True)], EVENT)
NAMES = ("event_frames", "animate_events")
BEYOND = "column 4 and row 2, beyond a sensor of 4 columns"
PICTURES = [
    ("event_frames", lambda: viz.event_frames(EVENTS, sensor=(34, 34))),
    ("animate_events", lambda: viz.animate_events(EVENTS, sensor=(34, 34), num_frames=2)),
]
OF_FIGURES = [
    ("event_frames", lambda figure: viz.event_frames(EVENTS, sensor=(34, 34), figure=figure))
]
NO_PICTURES = [
    *((name, EVENTS[:0], {"sensor": (34, 34)}, "no event to draw") for name in NAMES),
    *((name, LAST, {"sensor": (3, 4)}, BEYOND) for name in NAMES),
    ("event_frames", LAST, {"sensor": (2, 5)}, "column 4 and row 2, beyond a sensor of 5 co"),
]
"""Functions, data, options, and the message."""

"""Pictures of a network's input, activity and training.

Import its names from here; its modules are internal.

The first argument of a function is the data to draw, such as a `Record`, a `History`, an
`Evaluation`, an `Energy`, an `STDPClassifier` or a recording of an event camera; keyword options
follow. Every function draws into the given Axes or into a new figure. It returns the Axes (whose
figure is ``ax.get_figure()``), or the Figure if the picture has several panels. Nothing is shown or
saved, pyplot is not used and ``rcParams`` stay as they are::

    viz.raster(record, layer="hidden 1").get_figure().savefig("raster.png")

In a notebook, run ``%matplotlib inline`` once and end a cell with the figure.
"""

from spikemnist.viz._animation import animate
from spikemnist.viz._decisions import decision, spike_counts
from spikemnist.viz._encodings import codes, encoding
from spikemnist.viz._energy import energy
from spikemnist.viz._events import animate_events, event_frames
from spikemnist.viz._membranes import membrane
from spikemnist.viz._plasticity import (
    animate_receptive_fields,
    assignments,
    running_accuracy,
    stdp_window,
    thresholds,
)
from spikemnist.viz._rasters import raster
from spikemnist.viz._robustness import robustness
from spikemnist.viz._training import confusion, training_curves
from spikemnist.viz._weights import receptive_fields

__all__ = [
    "animate",
    "animate_events",
    "animate_receptive_fields",
    "assignments",
    "codes",
    "confusion",
    "decision",
    "encoding",
    "energy",
    "event_frames",
    "membrane",
    "raster",
    "receptive_fields",
    "robustness",
    "running_accuracy",
    "spike_counts",
    "stdp_window",
    "thresholds",
    "training_curves",
]

"""Pictures of a network's input, activity and training.

The room stands on `models` and `training`; no room of the core stands on it.
Import its names from here; its modules are internal.

The first argument of a function is the data to draw, such as a `Record`, a `History`, an
`Evaluation`, an `Energy`, an `STDPClassifier` or a recording of an event camera; keyword options
follow. Every function draws into a new figure, or into the given Axes, and returns the Figure,
whose Axes are ``figure.axes``; functions named ``animate`` return a FuncAnimation. A notebook,
after ``%matplotlib inline``, shows the figure that ends a cell; a script saves it, or shows it::

    viz.raster(record, layer="hidden 1").savefig("raster.png")
    plt.show()

A window opens where the script has imported pyplot, with a backend that has windows; of more than
ten the oldest closes. Nothing here imports pyplot, and ``rcParams`` stay as they are. A notebook
shows a figure of pyplot by itself: if ``ax`` belongs to one, end the line with ``;``.
Letters follow ``rcParams["font.size"]``, and titles are broken by the width of the Axes. The title
is the one at the left, ``ax.set_title("", loc="left")`` removes it; a caption is the last text of
its Axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy

if TYPE_CHECKING:
    from spikemnist.energy.energy_picture import energy as energy
    from spikemnist.events.event_frames import animate_events as animate_events
    from spikemnist.events.event_frames import event_frames as event_frames
    from spikemnist.plasticity.stdp_pictures import (
        animate_receptive_fields as animate_receptive_fields,
    )
    from spikemnist.plasticity.stdp_pictures import stdp as stdp
    from spikemnist.plasticity.stdp_pictures import stdp_window as stdp_window
    from spikemnist.recognition.decision_pictures import decision as decision
    from spikemnist.recognition.decision_pictures import spike_counts as spike_counts
    from spikemnist.robustness.accuracy_curves import robustness as robustness
    from spikemnist.viz._animation import animate as animate
    from spikemnist.viz._encodings import codes as codes
    from spikemnist.viz._encodings import encoding as encoding
    from spikemnist.viz._membranes import membrane as membrane
    from spikemnist.viz._overviews import of_run as of_run
    from spikemnist.viz._overviews import of_sample as of_sample
    from spikemnist.viz._rasters import raster as raster
    from spikemnist.viz._training import confusion as confusion
    from spikemnist.viz._training import training_curves as training_curves
    from spikemnist.viz._weights import receptive_fields as receptive_fields
else:
    _MODULES = {
        "._animation": "animate",
        "._encodings": "codes encoding",
        "._membranes": "membrane",
        "._overviews": "of_run of_sample",
        "._rasters": "raster",
        "._training": "confusion training_curves",
        "._weights": "receptive_fields",
        "spikemnist.energy.energy_picture": "energy",
        "spikemnist.events.event_frames": "animate_events event_frames",
        "spikemnist.plasticity.stdp_pictures": "animate_receptive_fields stdp stdp_window",
        "spikemnist.recognition.decision_pictures": "decision spike_counts",
        "spikemnist.robustness.accuracy_curves": "robustness",
    }
    __getattr__, __dir__, __all__ = lazy(__name__, _MODULES)

"""Axes with a bar for each class, and the words for what a readout compares."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.ticker import MaxNLocator

from spikemnist.models.readout import name_of
from spikemnist.models.record import Record
from spikemnist.viz import _style
from spikemnist.viz._samples import Array

_SCORES = {
    "mean_membrane": "mean membrane potential so far",
    "max_membrane": "highest membrane potential so far",
    "spike_count": "spikes so far",
    "first_spike": "minus timesteps before the first spike",
}


def score_name(record: Record) -> str:
    """Return what the readout of a record compares, in words if it is one of the package."""
    name = name_of(record.readout)
    return _SCORES.get(name, name) + of_group(record)


def of_group(record: Record) -> str:
    """Return the end of a label of means over the output neurons of a class, if it has several."""
    return f",\nmean of {record.population} neurons" if record.population > 1 else ""


def count_bars(ax: Axes, counts: Array, label: int | None, **look: Any) -> BarContainer:
    """Draw a pale bar for each class, the true class with a thick outline."""
    bars = ax.bar(np.arange(len(counts)), counts, width=0.75, color=_style.PALE, **look)
    if label is not None:
        bars[label].set(edgecolor=_style.BLACK, linewidth=2.0)
    return bars


def limit_counts(ax: Axes, record: Record, label: str) -> None:
    """Set x to the classes and y to the possible numbers of spikes, with room for text above."""
    steps, classes = len(record.spikes), record.scores.shape[-1]
    _style.name_classes(ax.xaxis, record.classes, 0.8 * _style.extent(ax)[0])
    ticks = MaxNLocator(nbins=5, integer=True).tick_values(0, steps)
    ax.set_yticks([tick for tick in ticks if tick <= steps])
    limits = {"xlim": (-0.6, classes - 0.4), "ylim": (0.0, 1.2 * steps)}
    _style.open_frame(ax, xlabel="class", ylabel=label, **limits)
    ax.spines["left"].set_bounds(0, steps)

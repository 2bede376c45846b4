"""Picture of the accuracy when images and spikes are disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.ticker import PercentFormatter

from spikemnist.robustness.disturbances import UNITS
from spikemnist.viz import _style
from spikemnist.viz._samples import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from spikemnist.robustness.disturbances import Robustness

LABELS = {
    "noise": "standard deviation of the noise",
    "dropped spikes": "probability of a dropped spike",
    **{name: f"{name} ({unit})" for name, unit in UNITS.items()},
}
_MARKERS = "osD^vPX"


@drawing
def robustness(results: Mapping[str, Robustness]) -> Figure:
    """Draw the accuracy of networks against the strength of each disturbance.

    Level 0 is the accuracy without a disturbance.

    Parameters
    ----------
    results : mapping of str to Robustness
        Results of `spikemnist.training.measure_robustness` by the name of the network.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per disturbance, one line per network.

    Examples
    --------
    >>> from spikemnist import viz
    >>> from spikemnist.training import Robustness
    >>> results = {"mlp": Robustness(0.98, {"shift": {1: 0.97, 2: 0.90}}, 1000)}
    >>> [panel.get_xlabel() for panel in viz.robustness(results).axes]
    ['shift (pixels)']
    """
    first, *_ = results.values()
    names = list(first.accuracy)
    rows = -(-len(names) // 2)
    figure = _style.new_figure(8.0 if len(names) > 1 else 4.5, 3.0 * rows + 0.4)
    panels = figure.subplots(rows, min(len(names), 2), squeeze=False, sharey=True).flat
    for spare in panels[len(names) :]:
        spare.remove()
    for panel, name in zip(panels, names, strict=False):
        for number, (network, measured) in enumerate(results.items()):
            levels = {0: measured.undisturbed, **measured.accuracy[name]}
            panel.plot(
                list(levels),
                list(levels.values()),
                **_style.class_look(number),
                marker=_MARKERS[number % len(_MARKERS)],
                markersize=4.5,
                linewidth=1.6,
                label=network,
            )
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.grid(axis="y", color=_style.PALE, linewidth=0.8)
        _style.open_frame(panel, xlabel=LABELS[name], ylim=(0, 1.02))
    for row in range(rows):
        figure.axes[2 * row].set_ylabel("accuracy")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    return figure

"""Picture of membrane potentials over time, one row per neuron.

Shapes: ``T`` timesteps, ``N`` neurons of a layer, ``K`` neurons shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spikemnist.models.record import Record
from spikemnist.viz import _style
from spikemnist.viz._samples import Array, LayerSample, drawing, layer_sample, which

_ALL = 10  # up to this number every neuron of a layer is shown
_KINDS = 6
_AFTER_A_SPIKE = {
    None: "",
    "subtract": "A spike subtracts the threshold, not all:\na membrane far above it fires again.",
    "zero": "After a spike the membrane is 0 for one timestep.",
    "none": "A spike leaves the membrane as it is.",
}


@drawing
def membrane(
    record: Record,
    *,
    sample: int = 0,
    layer: int | str = -1,
    neurons: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw membrane potentials over time, with the threshold dashed and the spikes marked.

    Each neuron has a row with a scale of its own, the first on top. The shaded strip reaches from
    zero to the threshold, so a thin strip means that the membrane goes far beyond it; the number at
    the right is the membrane that lies furthest from zero. The membrane is drawn as it was compared
    with the threshold: after integration, before the reset. The caption says what the reset does:
    by subtraction it takes one threshold off, so a membrane far above it fires again without new
    input.

    Parameters
    ----------
    record : Record
        Record of a model, with membranes ``[T, B, N]``. The threshold is known, and drawn, only
        with ``record="all"``.
    sample : int, default 0
        Index of the sample in the batch.
    layer : int or str, default -1
        Name or index of a layer of the record; the output layer by default.
    neurons : sequence of int, default None
        Neurons to show, in this order. By default all of a layer of up to ten, else up to six with
        different numbers of spikes, from the fewest to the most: of the neurons with that number,
        the one whose highest membrane is nearest to its threshold.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The new figure, or that of ``ax``.

    Raises
    ------
    IndexError
        When there is no such sample or neuron.
    ValueError
        When the layer was not recorded, or has no membrane (the input).

    Examples
    --------
    >>> from spikemnist import LatencyEncoder, LeakyMLP, load_digits, viz
    >>> digits = load_digits()[1][:4]
    >>> spikes = LatencyEncoder(num_steps=8)(digits.images)
    >>> record = LeakyMLP(hidden=(20,))(spikes, record="all")
    >>> figure = viz.membrane(record, layer="hidden 1", neurons=[3, 1], sample=2)
    >>> ax = figure.axes[0]
    >>> ax.get_ylabel(), [tick.get_text() for tick in ax.get_yticklabels()]
    ('hidden 1 neuron', ['3', '1'])
    """
    view = layer_sample(record, layer, sample)
    if view.membrane is None:
        raise ValueError("the input has no membrane; use raster(record, layer='input')")
    indices = _of_each_kind(view) if neurons is None else np.atleast_1d(neurons).tolist()
    spikes, traces = view.spikes[:, indices], view.membrane[:, indices]
    thresholds = None if view.threshold is None else view.threshold[indices]
    rows = len(indices)
    ax = _style.axes_or_new(ax, _style.PANEL_WIDTH, max(2.9, 1.3 + 0.45 * rows))
    for row in range(0, rows, 2):
        ax.axhspan(row - 0.5, row + 0.5, color=_style.BAND, linewidth=0.0, zorder=0)
    _draw_rows(ax, spikes, traces, thresholds)
    _style.time_axis(ax, len(traces))
    _style.open_frame(ax, ylim=(rows - 0.5, -0.5), ylabel=f"{view.name} neuron")
    ax.set_yticks(range(rows), [str(i) for i in indices])
    some = "" if rows == view.spikes.shape[1] else f": {rows} of {view.spikes.shape[1]:,} neurons"
    title = f"membrane potential, {view.name}{some}{which(record.spikes, sample)}"
    _style.set_title(ax, title, above=_style.legend_above(ax))
    _style.caption(ax, f"Each row has its own scale. {_AFTER_A_SPIKE[view.reset]}")
    return _style.root_figure(ax)


def _of_each_kind(layer: LayerSample) -> list[int]:
    """Return all neurons of a small layer, else neurons from silent to busy."""
    assert layer.membrane is not None
    counts = layer.spikes.sum(0)
    if len(counts) <= _ALL:
        return list(range(len(counts)))
    threshold = 0.0 if layer.threshold is None else layer.threshold
    distance = np.abs(layer.membrane.max(0) - threshold)
    kinds = np.unique(counts)
    choice = kinds[_style.evenly_chosen(len(kinds), _KINDS)]
    return [int(np.where(counts == count, distance, np.inf).argmin()) for count in choice]


def _draw_rows(ax: Axes, spikes: Array, traces: Array, thresholds: Array | None) -> None:
    """Draw neuron ``k`` about the height ``k`` of an axis that points down."""
    rows, time = np.arange(traces.shape[1]), np.arange(len(traces))
    finite = np.where(np.isfinite(traces), traces, 0.0)  # a diverged network can still be drawn
    low = np.minimum(finite.min(0), 0.0)
    high = np.maximum(finite.max(0), 0.0 if thresholds is None else thresholds)
    unit = 0.8 / np.where(high > low, high - low, 1.0)
    zero = rows + 0.4 + low * unit
    curves = zero - traces * unit
    limit: dict[str, Any] = {"color": _style.VERMILLION, "linewidth": 0.9, "linestyle": (0, (4, 3))}
    look: dict[str, Any] = {"color": _style.BLUE, "linewidth": 1.3, "markersize": 3.0}
    look["marker"] = "o" if len(time) == 1 else ""
    for row, name in enumerate(["", *["_"] * (len(rows) - 1)]):
        if thresholds is None:
            ax.axhline(zero[row], color=_style.GREY, linewidth=0.6, label="_zero")
        else:
            top = zero[row] - thresholds[row] * unit[row]
            ax.axhspan(top, zero[row], color=_style.ORANGE, alpha=0.25, linewidth=0.0, zorder=1)
            ax.axhline(top, label=name + _threshold_label(thresholds), **limit)
        ax.plot(time, curves[:, row], label=f"{name}membrane", **look)
    furthest = np.where(finite.max(0) >= -finite.min(0), finite.max(0), finite.min(0))
    for row, text in enumerate(["furthest\nfrom 0", *(f"{value:.3g}" for value in furthest)], -1):
        ax.annotate(
            text, (1.0, max(row, -0.5)), (3, -1), ("axes fraction", "data"), "offset points",
            va="bottom" if row < 0 else "center", linespacing=1.0,
            fontsize=_style.letters(), color=_style.BLUE, annotation_clip=False,
        )  # fmt: skip
    when, who = np.nonzero(spikes)
    look = {"color": _style.BLACK, "linestyle": "none", "marker": "o", "markersize": 4.0}
    ax.plot(when, curves[when, who], zorder=3, label="spike", **look)


def _threshold_label(thresholds: Array) -> str:
    low, high = float(thresholds.min()), float(thresholds.max())
    value = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    return f"threshold ({value}), shaded from zero"

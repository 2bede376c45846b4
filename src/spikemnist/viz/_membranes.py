"""Picture of membrane potentials over time, one band per neuron.

Shapes: ``T`` timesteps, ``N`` neurons of a layer, ``K`` neurons shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from spikemnist.viz import _style
from spikemnist.viz._samples import layer_sample, which

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from spikemnist.models.record import Record
    from spikemnist.viz._samples import Array, LayerSample

_ROWS = 10


def membrane(
    record: Record,
    *,
    sample: int = 0,
    layer: int | str = -1,
    neurons: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw membrane potentials over time, with the threshold dashed and the spikes marked.

    Each neuron has a band, the first on top. All bands have the same scale, which the bar at the
    right shows. The thin line in each band is zero. The membrane is drawn as it was compared with
    the threshold: after integration, before the reset.

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
        Neurons to show, in this order. By default all of a layer of up to ten, else the ten that
        fired most; the highest membrane breaks ties.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn into.

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
    >>> ax = viz.membrane(record, layer="hidden 1", neurons=[3, 1], sample=2)
    >>> ax.get_ylabel(), [tick.get_text() for tick in ax.get_yticklabels()]
    ('hidden 1 neuron: membrane potential', ['3', '1'])
    """
    view = layer_sample(record, layer, sample)
    if view.membrane is None:
        raise ValueError("the input has no membrane; use raster(record, layer='input')")
    indices = _most_active(view) if neurons is None else [int(i) for i in neurons]
    spikes, traces = view.spikes[:, indices], view.membrane[:, indices]
    thresholds = None if view.threshold is None else view.threshold[indices]
    ax = _style.axes_or_new(ax, 7.0, max(3.2, 1.0 + 0.5 * len(indices)))

    offsets, edges = _stack(traces, thresholds)
    height = float(edges[0])
    for bottom, top in zip(edges[1::2], edges[:-1:2], strict=False):
        ax.axhspan(float(bottom), float(top), color=_style.BAND, linewidth=0.0, zorder=0)
    _draw_rows(ax, spikes, traces, thresholds, offsets)
    _style.time_axis(ax, len(traces))
    _draw_scale(ax, height)
    label = f"{view.name} neuron: membrane potential"
    _style.open_frame(ax, ylim=(0.0, height), ylabel=label)
    ax.set_yticks((edges[1:] + edges[:-1]) / 2, [str(i) for i in indices])
    _style.set_title(ax, f"{view.name}{which(record.spikes, sample)}")
    _style.legend_above(ax)
    return ax


def _most_active(layer: LayerSample) -> list[int]:
    assert layer.membrane is not None
    order = np.lexsort((-layer.membrane.max(0), -layer.spikes.sum(0)))
    return sorted(int(i) for i in order[:_ROWS])


def _stack(traces: Array, thresholds: Array | None) -> tuple[Array, Array]:
    """Return the height of each band's zero line ``[K]``, and the bands' edges ``[K + 1]``.

    A band spans its lowest to its highest value, including zero and the threshold.
    """
    finite = np.where(np.isfinite(traces), traces, 0.0)  # a diverged network can still be drawn
    low = np.minimum(finite.min(0), 0.0)
    high = np.maximum(finite.max(0), 0.0 if thresholds is None else thresholds)
    gap = 0.3 * float((high - low).mean()) or 1.0
    edges = np.append((high - low + gap)[::-1].cumsum()[::-1], 0.0)  # the first band lies on top
    offsets = edges[1:] - low + gap / 2
    return offsets.astype(np.float32), edges.astype(np.float32)


def _draw_rows(
    ax: Axes, spikes: Array, traces: Array, thresholds: Array | None, offsets: Array
) -> None:
    time = np.arange(len(traces))
    marker = "o" if len(time) == 1 else ""
    for row, offset in enumerate(offsets):
        first = row == 0
        ax.axhline(float(offset), color=_style.GREY, linewidth=0.6, label="_zero")
        if thresholds is not None:
            ax.axhline(
                float(offset + thresholds[row]),
                color=_style.VERMILLION,
                linestyle=(0, (4, 3)),
                linewidth=0.9,
                label=_threshold_label(thresholds) if first else "_threshold",
            )
        ax.plot(
            time,
            traces[:, row] + offset,
            color=_style.BLUE,
            linewidth=1.3,
            marker=marker,
            markersize=3.0,
            label="membrane" if first else "_membrane",
        )
    when, who = np.nonzero(spikes)
    ax.plot(
        when,
        traces[when, who] + offsets[who],
        linestyle="none",
        marker="o",
        markersize=4.0,
        color=_style.BLACK,
        zorder=3,
        label="spike",
    )


def _threshold_label(thresholds: Array) -> str:
    low, high = float(thresholds.min()), float(thresholds.max())
    return f"threshold ({low:.3g})" if low == high else f"threshold ({low:.3g} to {high:.3g})"


def _draw_scale(ax: Axes, height: float) -> None:
    """Draw a bar of a round length at the right: the scale of all bands."""
    ticks = [tick for tick in MaxNLocator(nbins=6).tick_values(0.0, height) if tick > 0]
    length = float(ticks[0])
    ax.annotate(
        "",
        xy=(1.015, 0.0),
        xytext=(1.015, length),
        xycoords=("axes fraction", "data"),
        textcoords=("axes fraction", "data"),
        arrowprops={"arrowstyle": "|-|,widthA=0.25,widthB=0.25", "shrinkA": 0, "shrinkB": 0},
        annotation_clip=False,
    )
    ax.annotate(
        f"{length:g}",
        xy=(1.03, length / 2),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=_style.SMALL,
        annotation_clip=False,
    )

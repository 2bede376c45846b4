"""The raster plot: one mark per spike.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from spikemnist.viz import _style
from spikemnist.viz._samples import input_sample, layer_sample, to_numpy, which

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spikemnist.models.record import Record
    from spikemnist.viz._samples import Array

_SPARSE_POINTS = 500  # below, marks may be larger than a neuron's row: they rarely touch
_FEW_POINTS = 5_000  # below, every mark stays a vector in PDF and SVG
_MANY_POINTS = 200_000  # above, a mark is one pixel: legible, and several times faster to draw
_FEW_NEURONS = 20  # up to this number each neuron gets its own tick


def raster(
    record_or_spikes: Record | Tensor,
    *,
    sample: int = 0,
    layer: int | str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one mark for each spike: the timestep on x, the neuron on y.

    All spikes are one artist, so a million spikes are drawn in about a second.

    Parameters
    ----------
    record_or_spikes : Record or torch.Tensor
        Record, or spikes ``[T, B, ...]`` or ``[T, N]``. Every non-zero entry is a spike.
    sample : int, default 0
        Index of the sample in the batch.
    layer : int or str, default None
        Layer of a Record: its name (``"input"``, ``"hidden 1"``, ``"output"``) or index. The output
        layer by default; others need ``record="all"``.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn into.

    Raises
    ------
    IndexError
        When the batch has no such sample.
    ValueError
        When the layer was not recorded.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import viz
    >>> ax = viz.raster(torch.eye(5))  # neuron i fires at timestep i
    >>> ax.get_xlabel(), ax.lines[0].get_xdata().tolist()
    ('timestep', [0, 1, 2, 3, 4])
    """
    name, spikes = _spikes(record_or_spikes, sample, layer)
    steps, neurons = spikes.shape
    ax = _style.axes_or_new(ax, 7.0, 3.6)
    time, neuron = np.nonzero(spikes)
    if not len(time):
        _style.note(ax, "no spikes")
    _mark(ax, time, neuron, neurons)
    _style.time_axis(ax, steps)
    _style.open_frame(ax, ylim=(-0.5, neurons - 0.5), ylabel=f"{name} neuron".strip())
    _style.integer_ticks(ax.yaxis, _FEW_NEURONS if neurons <= _FEW_NEURONS else 6)
    active = len(np.unique(neuron))
    batch = record_or_spikes if isinstance(record_or_spikes, Tensor) else record_or_spikes.spikes
    _style.set_title(
        ax,
        f"{name + ': ' if name else ''}{len(time):,} spikes, "
        f"{active:,} of {neurons:,} neurons fired{which(batch, sample)}",
    )
    return ax


def _spikes(source: Record | Tensor, sample: int, layer: int | str | None) -> tuple[str, Array]:
    if not isinstance(source, Tensor):
        view = layer_sample(source, layer, sample)
        return view.name, view.spikes
    if layer is not None:
        raise ValueError(f"layer={layer!r} needs a Record; a tensor of spikes has no layers")
    return "", to_numpy(input_sample(source, sample).flatten(1))


def _mark(
    ax: Axes, time: np.ndarray[tuple[int], np.dtype[np.intp]], neuron: np.ndarray, neurons: int
) -> None:
    box = ax.get_window_extent()
    row = box.height / _style.root_figure(ax).dpi * 72 / neurons  # points for one neuron
    many = len(time) > _MANY_POINTS
    smallest = 4.0 if len(time) < _SPARSE_POINTS else 2.0
    ax.plot(
        time,
        neuron,
        linestyle="none",
        marker="," if many else "|",
        markersize=float(np.clip(0.7 * row, smallest, 14.0)),
        markeredgewidth=1.0,
        color=_style.BLACK,
        # Where several spikes share a pixel, grey levels show how many.
        alpha=float(np.clip(0.6 * box.width * box.height / len(time), 0.15, 1.0)) if many else 1.0,
        rasterized=len(time) > _FEW_POINTS,
        label="spikes",
    )

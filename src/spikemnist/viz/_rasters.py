"""The raster plot: one mark per spike.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from spikemnist.models.record import Record
from spikemnist.viz import _style
from spikemnist.viz._samples import (
    Array,
    are_spikes,
    drawing,
    layer_sample,
    one_sample,
    to_numpy,
    which,
)

_FEW_NEURONS = 20  # up to this number each neuron gets its own tick, and none is moved
_FEW_STEPS = 60  # up to this number a white line separates the spikes of neighbouring timesteps


@drawing
def raster(
    record_or_spikes: Record | Tensor,
    *,
    sample: int = 0,
    layer: int | str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one mark for each spike: the timestep on x, the neuron on y.

    A mark is one timestep wide and one neuron high. Neuron 0 is on top, so that the input of an
    image is upright. A hidden layer of more than 20 neurons is sorted by the number of spikes, the
    earliest first among equals, since the order of its neurons has no meaning. Where neurons share
    a pixel, it is the darker, the more of them fired.

    Parameters
    ----------
    record_or_spikes : Record or torch.Tensor
        Record, or spikes ``[T, B, ...]`` or ``[T, N]``. A tensor keeps the order of its neurons.
    sample : int, default 0
        Index of the sample in the batch.
    layer : int or str, default None
        Layer of a Record: its name (``"input"``, ``"hidden 1"``, ``"output"``) or index. The output
        layer by default; others need ``record="all"``.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The new figure, or that of ``ax``.

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
    >>> figure = viz.raster(torch.eye(5))  # neuron i fires at timestep i
    >>> ax = figure.axes[0]
    >>> ax.get_xlabel(), ax.get_title(loc="left")
    ('timestep', '5 spikes, 5 of 5 neurons fired')
    """
    if not isinstance(record_or_spikes, Tensor):
        view, batch = layer_sample(record_or_spikes, layer, sample), record_or_spikes.spikes
        name, spikes = view.name, view.spikes
    elif layer is None:
        name, batch = "", record_or_spikes
        spikes = to_numpy(one_sample(batch, sample).flatten(1))
    else:
        raise ValueError(f"layer={layer!r} needs a Record; a tensor of spikes has no layers")
    neurons = spikes.shape[1]
    ax = _style.axes_or_new(ax, _style.PANEL_WIDTH, 3.6)
    label = f"{name} neuron".strip()
    if name not in ("", "input", "output") and neurons > _FEW_NEURONS:
        order = np.lexsort(((spikes != 0).argmax(0), -spikes.sum(0)))
        spikes, label = spikes[:, order], f"{name}, sorted by spikes"
    draw_spikes(ax, spikes)
    _style.open_frame(ax, ylabel=label)
    _style.integer_ticks(ax.yaxis, _FEW_NEURONS if neurons <= _FEW_NEURONS else 6)
    fired = spikes != 0
    total, active = _style.count_text(fired.sum()), int(fired.any(0).sum())
    what = f"{total}, {active:,} of {neurons:,} neurons fired"
    if not are_spikes(spikes):
        what = "a current, not spikes"
    _style.set_title(ax, f"{name + ': ' if name else ''}{what}{which(batch, sample)}")
    return _style.root_figure(ax)


def draw_spikes(ax: Axes, spikes: Array) -> None:
    """Draw spikes ``[T, N]`` in black, neuron 0 on top, and set the limits of both axes."""
    (steps, neurons), box = spikes.shape, ax.get_window_extent()
    if not spikes.any():
        _style.note(ax, "no spikes")
    share, width = _shared(np.abs(spikes), 0, box.width)
    share, height = _shared(share, 1, box.height)
    right, bottom = (n * size - 0.5 for n, size in zip(share.shape, (width, height), strict=True))
    # The root keeps a spike visible that shares its pixel with silent neurons.
    norm = PowerNorm(0.5, vmin=0.0, vmax=max(1.0, float(share.max())))
    extent = -0.5, right, bottom, -0.5
    ax.imshow(share.T, "Greys", norm, aspect="auto", interpolation="nearest", extent=extent)
    _style.time_axis(ax, steps)
    ax.set_ylim(neurons - 0.5, -0.5)
    if steps <= _FEW_STEPS:
        ax.set_xticks(np.arange(steps - 1) + 0.5, minor=True)
        ax.tick_params(which="minor", length=0)
        ax.grid(which="minor", axis="x", color="white", linewidth=1.0)


def _shared(values: Array, axis: int, pixels: float) -> tuple[Array, int]:
    """Return means over the neighbours that share a pixel, and their number."""
    size = max(1, -(-values.shape[axis] // max(1, int(pixels))))
    starts = np.arange(0, values.shape[axis], size)
    return np.add.reduceat(values, starts, axis) / size, size

"""One image in several codes.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikemnist.viz import _style
from spikemnist.viz._samples import frames, input_sample, to_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from spikemnist.viz._samples import Array

_ROW_INCHES = 1.45


def codes(
    spikes: Mapping[str, Tensor],
    *,
    decoded: Mapping[str, Tensor] | None = None,
    sample: int = 0,
) -> Figure:
    """Draw what several encoders made of one image, a row for each.

    From the left: what can be read back of the image; which inputs fired when, a dot for each
    spike; the number of spikes at each timestep. A code that hands out currents has the picture
    alone.

    Parameters
    ----------
    spikes
        By the name of the code, ``[T, B, ...]``.
    decoded
        By the name of the code, what was read back, ``[B, H, W]`` or a flat square; a code that
        is missing has no picture.
    sample
        Which sample of the batch.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        For no codes.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import viz
    >>> figure = viz.codes({"rate": torch.rand(5, 1, 28, 28).round()})
    >>> figure.axes[1].get_xlabel(), figure.axes[1].get_ylabel()
    ('timestep', 'input')
    """
    if not spikes:
        raise ValueError("expected the spikes of at least one code; got none")
    figure = _style.new_figure(8.0, 0.5 + _ROW_INCHES * len(spikes))
    rows = figure.subplots(len(spikes), 3, squeeze=False, width_ratios=(1.0, 3.0, 2.0))
    pictures = decoded or {}
    for (name, trains), (picture, raster, counts) in zip(spikes.items(), rows, strict=True):
        values = to_numpy(input_sample(trains, sample)).reshape(len(trains), -1)
        _draw_picture(picture, name, pictures.get(name), sample)
        if np.isin(values, (0.0, 1.0)).all():
            _draw_raster(raster, values)
            _draw_counts(counts, values)
        else:
            raster.set_axis_off()
            counts.set_axis_off()
            _style.note(raster, "a current, not spikes")
    for column in (1, 2):
        lowest = [row[column] for row in rows if row[column].axison][-1:]
        for ax in lowest:
            ax.set_xlabel("timestep")
    return figure


def _draw_picture(ax: Axes, name: str, decoded: Tensor | None, sample: int) -> None:
    ax.set_ylabel(name, fontsize=9)
    if decoded is None:
        ax.set(xticks=[], yticks=[])
        _style.note(ax, "not\nread back")
        ax.spines[:].set_visible(False)
        return
    (picture,) = to_numpy(frames(decoded[sample][None], None))
    _style.pixels(ax, picture, cmap="gray", vmin=0, vmax=1)


def _draw_raster(ax: Axes, values: Array) -> None:
    steps, inputs = np.nonzero(values)
    ax.scatter(steps, inputs, s=0.6, marker="s", linewidths=0, color=_style.BLUE)
    _style.time_axis(ax, len(values))
    ax.set_xlabel("")
    ax.set_ylim(values.shape[1] - 0.5, -0.5)  # the first row of the image is above
    ax.set_ylabel("input", fontsize=_style.SMALL)
    _style.integer_ticks(ax.yaxis, 3)


def _draw_counts(ax: Axes, values: Array) -> None:
    fired = (values != 0).sum(1)
    ax.bar(np.arange(len(values)), fired, width=0.8, color=_style.GREY)
    _style.time_axis(ax, len(values))
    ax.set_xlabel("")
    ax.set_ylabel("spikes", fontsize=_style.SMALL)
    _style.integer_ticks(ax.yaxis, 3)
    ax.set_title(f"{int(fired.sum())} spikes", fontsize=_style.SMALL, loc="right")
    _style.open_frame(ax)

"""Pictures of encoded images: one code over time, and several side by side.

Shapes: ``T`` timesteps, ``B`` batch, ``H`` and ``W`` of an image.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from torch import Tensor

from spikemnist.models.record import Record
from spikemnist.viz import _style
from spikemnist.viz._rasters import draw_spikes
from spikemnist.viz._samples import Array, are_spikes, drawing, frames, input_sample, to_numpy

_MOST_FRAMES = 12
_ROW_INCHES = 1.45


@drawing
def encoding(
    spikes_or_record: Tensor | Record,
    *,
    sample: int = 0,
    image: Tensor | None = None,
    image_shape: tuple[int, int] | None = None,
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw an encoded image: how often, how early and when each pixel fired.

    Top row: the image, if given; the number of spikes; the timestep of each pixel's first spike.
    Bottom row: the input at up to twelve evenly spaced timesteps. A current, as of the direct code,
    has its mean in place of the spikes, and no bottom row if it is constant.

    Parameters
    ----------
    spikes_or_record : torch.Tensor or Record
        Spikes ``[T, B, ...]``, or a Record made with ``record="all"``.
    sample : int, default 0
        Index of the sample in the batch.
    image : torch.Tensor, default None
        Image before encoding, with the same number of pixels.
    image_shape : tuple of int, default None
        Height and width, for flat inputs that are not square.
    figure : matplotlib.figure.Figure or SubFigure, default None
        Empty figure to draw into; a new one by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure drawn into.

    Raises
    ------
    IndexError
        When the batch has no such sample.
    ValueError
        When the Record holds no input, or the input does not form a picture.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import viz
    >>> figure = viz.encoding(torch.rand(5, 1, 784).round())
    >>> [panel.get_title() for panel in figure.axes[-5:]]
    ['t = 0', 't = 1', 't = 2', 't = 3', 't = 4']
    """
    values = to_numpy(frames(input_sample(spikes_or_record, sample), image_shape))
    original = None if image is None else to_numpy(image.reshape(values.shape[1:]))
    figure = figure or _style.new_figure(6.6, 3.6)
    above, below = figure.subfigures(2, 1, height_ratios=(2.7, 1.0), squeeze=False)[:, 0]
    spikes = are_spikes(values)
    panels = above.subplots(1, 1 + spikes + (original is not None), squeeze=False)[0]
    if original is not None:
        _style.pixels(panels[0], original, "image", **_style.grey_levels(original))
    if spikes:
        _draw_sum(panels[-2], values)
        _draw_first_spike(panels[-1], values)
    else:
        picture = _style.pixels(
            panels[-1], values.mean(0), "current, mean over time", cmap="viridis"
        )
        _colour_bar(picture, "current", integers=False)
    if spikes or (values != values[0]).any():
        _draw_frames(below, values)
    else:
        below.text(0.5, 0.5, f"the same current at each of {len(values)} timesteps", ha="center")
    return _style.root_figure(panels[0])


def _draw_sum(ax: Axes, values: Array) -> None:
    total = values.sum(0)
    most = max(float(total.max()), 1.0)
    title = f"spikes in {len(values)} timesteps{': 0 or 1' if most == 1 else ''}"
    picture = _style.pixels(ax, total, title, cmap="viridis", vmin=0.0, vmax=most)
    if most > 1:
        _colour_bar(picture, "spikes", integers=True)


def _draw_first_spike(ax: Axes, values: Array) -> None:
    active = (values != 0).any(0)
    first = np.ma.masked_array((values != 0).argmax(0), mask=~active)
    ax.set_facecolor(_style.PALE)  # shows where nothing fired
    colours = {"cmap": "viridis_r", "vmin": 0, "vmax": max(len(values) - 1, 1)}
    picture = _style.pixels(ax, first, "first spike (grey: none)", **colours)
    _colour_bar(picture, "timestep", integers=True)


def _colour_bar(picture: AxesImage, label: str, *, integers: bool) -> None:
    """Put a colour bar at the right of the picture, with only whole numbers if ``integers``."""
    ax = picture.axes
    bar = ax.figure.colorbar(picture, cax=ax.inset_axes((1.04, 0.0, 0.06, 1.0)))
    bar.set_label(label)
    if integers:
        _style.integer_ticks(bar.ax.yaxis, 6)


def _draw_frames(figure: Figure | SubFigure, values: Array) -> None:
    steps = _style.evenly_chosen(len(values), _MOST_FRAMES)
    panels = figure.subplots(1, len(steps), squeeze=False)[0]
    for ax, step in zip(panels, steps, strict=True):
        _style.pixels(ax, values[step], f"t = {step}", **_style.grey_levels(values))


@drawing
def codes(
    spikes: Mapping[str, Tensor],
    *,
    reconstructions: Mapping[str, Tensor] | None = None,
    sample: int = 0,
) -> Figure:
    """Draw the codes of several encoders for one image, one row per code.

    From the left: the image decoded from the code; a mark for each spike, by timestep and input;
    the number of spikes at each timestep. A code of currents has only the picture.

    Parameters
    ----------
    spikes : mapping of str to torch.Tensor
        Spikes ``[T, B, ...]`` by the name of the code.
    reconstructions : mapping of str to torch.Tensor, default None
        Decoded images, ``[B, H, W]`` or flat squares, by the name of the code. A code that is
        missing has no picture.
    sample : int, default 0
        Index of the sample in the batch.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import torch
    >>> from spikemnist import viz
    >>> figure = viz.codes({"rate": torch.rand(5, 1, 28, 28).round()})
    >>> figure.axes[1].get_xlabel(), figure.axes[1].get_ylabel()
    ('timestep', 'input')
    """
    figure = _style.new_figure(6.6, 0.5 + _ROW_INCHES * len(spikes))
    rows = figure.subplots(len(spikes), 3, squeeze=False, width_ratios=(1.0, 3.0, 2.0))
    pictures = reconstructions or {}
    for (name, trains), (picture, raster, counts) in zip(spikes.items(), rows, strict=True):
        values = to_numpy(input_sample(trains, sample)).reshape(len(trains), -1)
        _draw_picture(picture, name, pictures.get(name), sample)
        if are_spikes(values):
            draw_spikes(raster, values)
            raster.set_ylabel("input", fontsize=_style.letters())
            _style.integer_ticks(raster.yaxis, 3)
            _draw_counts(counts, values)
        else:
            raster.set_axis_off()
            counts.set_axis_off()
            _style.note(raster, "a current, not spikes")
    over_others = [row for row in rows if row[1].axison][:-1]
    for ax in np.ravel([row[1:] for row in over_others]):
        ax.set_xlabel("")
    return figure


def _draw_picture(ax: Axes, name: str, reconstructions: Tensor | None, sample: int) -> None:
    ax.set_ylabel(name, fontsize=_style.letters(9))
    if reconstructions is None:
        ax.set(xticks=[], yticks=[])
        _style.note(ax, "not\nread back")
        ax.spines[:].set_visible(False)
        return
    (picture,) = to_numpy(frames(reconstructions[sample][None], None))
    _style.pixels(ax, picture, cmap="gray", vmin=0, vmax=1)


def _draw_counts(ax: Axes, values: Array) -> None:
    counts = (values != 0).sum(1)
    ax.bar(np.arange(len(values)), counts, width=0.8, color=_style.GREY)
    _style.time_axis(ax, len(values))
    ax.set_ylabel("spikes", fontsize=_style.letters())
    _style.integer_ticks(ax.yaxis, 3)
    ax.set_title(_style.count_text(counts.sum()), fontsize=_style.letters(), loc="right")
    _style.open_frame(ax)

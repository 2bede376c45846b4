"""Pictures of event camera recordings: as frames, side by side or animated.

Shapes: ``E`` events, ``H`` and ``W`` of the sensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure

from spikemnist.viz import _style

Recording = npt.NDArray[np.void]
Array = npt.NDArray[Any]

_MILLISECOND = 1000
_COLUMNS = 6
_COLOURS = LinearSegmentedColormap.from_list("polarity", [_style.BLUE, "white", _style.VERMILLION])


def event_frames(
    events: Recording,
    *,
    sensor: tuple[int, int],
    num_frames: int = 6,
    figure: Figure | SubFigure | None = None,
) -> Figure:
    """Draw a recording as frames of equal duration.

    A pixel is red where more events made it brighter than darker, and blue where fewer did. The
    larger the difference, the stronger the colour.

    Parameters
    ----------
    events : numpy.ndarray
        Recording ``[E]`` with the fields ``t`` (microseconds), ``x``, ``y`` and ``p``, as in an
        `spikemnist.data.EventDataset`.
    sensor : tuple of int
        Height and width of the sensor.
    num_frames : int, default 6
        Number of frames.
    figure : matplotlib.figure.Figure or SubFigure, default None
        Empty figure to draw into; a new one by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure drawn into.

    Raises
    ------
    ValueError
        When there is no event, or an event lies beyond the sensor.

    Examples
    --------
    >>> import numpy as np
    >>> from spikemnist import viz
    >>> from spikemnist.data import EVENT
    >>> moving = np.array([(0, 0, 1, True), (1000, 1, 1, True), (1999, 2, 1, False)], EVENT)
    >>> figure = viz.event_frames(moving, sensor=(3, 4), num_frames=2)
    >>> [panel.get_title() for panel in figure.axes[:2]]
    ['0.0 – 1.0 ms', '1.0 – 2.0 ms']
    """
    sums, edges = _sums(events, sensor, num_frames)
    columns = min(num_frames, _COLUMNS)
    height = 1.75 * -(-num_frames // columns) + 0.2
    figure = figure or _style.new_figure(1.5 * columns + 1.1, height)
    room = figure.bbox.width / figure.dpi * 72 / _style.letters(70)  # a title has 14 letters
    columns = max(1, min(columns, int(room)))
    rows = -(-num_frames // columns)
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.flat[num_frames:]:
        panel.set_axis_off()
    colours = _colours(sums)
    for ax, frame, begin, end in zip(panels.flat, sums, edges[:-1], edges[1:], strict=False):
        picture = _style.pixels(ax, frame, _span(begin, end), **colours)
    bar = figure.colorbar(picture, ax=panels, fraction=0.04, pad=0.02)
    bar.set_label("brighter − darker events")
    _style.integer_ticks(bar.ax.yaxis, 6)
    return _style.root_figure(panels[0, 0])


def animate_events(
    events: Recording,
    *,
    sensor: tuple[int, int],
    num_frames: int = 30,
    interval: int = 100,
) -> FuncAnimation:
    """Animate a recording: the frames of `event_frames`, one after the other.

    Parameters
    ----------
    events, sensor : numpy.ndarray and tuple of int
        Recording ``[E]``, and height and width of the sensor, as for `event_frames`.
    num_frames : int, default 30
        Number of frames.
    interval : int, default 100
        Time between two frames, in ms.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        The animation. Keep it in a variable until it is saved, as in ``animation.save("digit.gif",
        writer="pillow")``.

    Raises
    ------
    ValueError
        As for `event_frames`.

    Examples
    --------
    >>> import numpy as np
    >>> from spikemnist import viz
    >>> from spikemnist.data import EVENT
    >>> moving = np.array([(0, 0, 1, True), (1000, 1, 1, True), (1999, 2, 1, False)], EVENT)
    >>> animation = viz.animate_events(moving, sensor=(3, 4), num_frames=2)
    >>> animation.to_jshtml().count("data:image/png")
    2
    """
    sums, edges = _sums(events, sensor, num_frames)
    figure = _style.new_figure(4.0, 4.2)
    ax = figure.add_subplot()
    picture = _style.pixels(ax, sums[-1], **_colours(sums))
    title = ax.set_title(_span(edges[-2], edges[-1]), fontsize=_style.letters(10))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")

    def show(frame: int) -> Iterable[Artist]:
        picture.set_data(sums[frame])
        title.set_text(_span(edges[frame], edges[frame + 1]))
        return picture, title

    return FuncAnimation(figure, show, frames=num_frames, interval=interval)


def _sums(events: Recording, sensor: tuple[int, int], num_frames: int) -> tuple[Array, Array]:
    """Return brighter minus darker events ``[frames, H, W]``, and the frames' edges in ms."""
    if not len(events):
        raise ValueError("the recording has no event to draw")
    height, width = sensor
    if events["x"].max() >= width or events["y"].max() >= height:
        raise ValueError(
            f"the recording has events up to column {events['x'].max()} and row "
            f"{events['y'].max()}, beyond a sensor of {width} columns and {height} rows"
        )
    since = events["t"] - events["t"][0]
    duration = int(since[-1]) + 1
    sums = np.zeros((num_frames, *sensor), np.int64)
    frame = since * num_frames // duration
    np.add.at(sums, (frame, events["y"], events["x"]), np.where(events["p"], 1, -1))
    return sums, np.linspace(0, duration / _MILLISECOND, num_frames + 1)


def _colours(sums: Array) -> dict[str, Any]:
    """Return the colour scale of frames: white is zero, red and blue are symmetric."""
    reach = max(float(np.abs(sums).max()), 1.0)
    return {"cmap": _COLOURS, "vmin": -reach, "vmax": reach}


def _span(begin: float, end: float) -> str:
    digits = 0 if end - begin >= 10 else 1
    return f"{begin:.{digits}f} – {end:.{digits}f} ms"

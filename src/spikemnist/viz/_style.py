"""Style of the pictures: colours, figures, ticks and labels, passed to each artist explicitly."""

from __future__ import annotations

import sys
import textwrap
import weakref
from collections import deque
from collections.abc import Container, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from matplotlib import get_backend, rcParams
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.registry import backend_registry
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

# Okabe & Ito (2008), Color Universal Design, without yellow, which is too pale on white.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#8C8C8C"
PALE = "#D9D9D9"
BAND = "#F2F2F2"

_CLASS_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, BLACK)
_CLASS_DASHES = ("solid", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_ENTRIES = 16  # of a legend beside the Axes
PANEL_WIDTH = 5.6
"""Inches of a picture of one panel: its letters are legible when it is 420 pixels wide."""


def letters(size: float = 8.0) -> float:
    """Return the size of letters, in points, that is ``size`` if ``font.size`` is 10."""
    return size * float(rcParams["font.size"]) / 10


def extent(ax: Axes) -> npt.NDArray[np.float64]:
    """Return the width and height of the Axes, before their layout, in units of ``font.size``.

    By these two numbers a picture decides what it has room for.
    """
    return np.array(ax.get_window_extent().size) / ax.figure.dpi * 72 / letters(10)


def wrap(text: str, room: float, size: float = 8.0) -> str:
    """Break the lines of letters of a size that are wider than ``room``, as `extent` measures it.

    Examples
    --------
    >>> print(wrap("the pixel fires, the neuron integrates", 10.0))
    the pixel fires, the
    neuron integrates
    """
    most = max(1, int(20 * room / size))  # a letter is half as wide as high
    lines = [(line, len(line) // (1 + len(line) // (most + 1)) + 5) for line in text.split("\n")]
    return "\n".join(textwrap.fill(line, min(most, even)) for line, even in lines)


def class_colour(index: int) -> str:
    """Return the colour of a class. It repeats after seven: add a line style or a number."""
    return _CLASS_COLOURS[index % len(_CLASS_COLOURS)]


def class_look(index: int) -> dict[str, Any]:
    """Return colour and line style of the curve of a class; 28 classes look different."""
    return {"color": class_colour(index), "linestyle": _CLASS_DASHES[index % len(_CLASS_DASHES)]}


def write_on(ax: Axes, place: tuple[float, float], text: str, field: Any, size: float) -> None:
    """Write text centred on a place, in black or white, whichever contrasts more with the field.

    By the contrast ratio of WCAG 2.1, black and white tie at a luminance of 0.179.
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(field)]
    luminance = np.dot([0.2126, 0.7152, 0.0722], linear)
    colour = "black" if luminance > 0.179 else "white"
    ax.text(*place, text, ha="center", va="center", fontsize=size, color=colour)


OPEN = 10
"""Most windows of pictures, below the 20 figures of which pyplot warns.

The next one closes the oldest, whose Figure stays as it is.
"""

_windows: deque[weakref.ref[Figure]] = deque()


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches.

    Where a script has imported pyplot, and can open windows, ``plt.show()`` shows it.
    """
    look: dict[str, Any] = {"figsize": (width, height), "facecolor": "white"}
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None or not _has_windows():
        return Figure(**look, layout="constrained")
    if len(_windows) == OPEN and (oldest := _windows.popleft()()) is not None:
        pyplot.close(oldest)
    figure: Figure = pyplot.figure(**look, layout="constrained")
    _windows.append(weakref.ref(figure))
    return figure


def _has_windows() -> bool:
    """Return whether pyplot's backend opens windows; the one of a notebook draws into its page."""
    backend: Any = backend_registry.load_backend_module(get_backend())  # type: ignore[no-untyped-call]
    return backend.FigureCanvas.required_interactive_framework is not None


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """Return ``ax``, or the Axes of a new figure of the given size in inches."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def root_figure(ax: Axes) -> Figure:
    """Return the figure that contains ``ax``, even inside a subfigure."""
    return cast("Figure", ax.get_figure(root=True))


def set_title(ax: Axes, text: str, above: float = 0.0) -> None:
    """Write the title at the left, so many points above the Axes."""
    text = wrap(text, 1.35 * extent(ax)[0] - 6, 10.0)  # about what the layout leaves
    ax.set_title(text, loc="left", fontsize=letters(10), pad=above + letters(6))


def open_frame(ax: Axes, **properties: Any) -> None:
    """Remove the top and right border; set properties of the Axes, such as labels and limits."""
    ax.set(**properties)
    width, height = extent(ax)
    ax.set_xlabel(wrap(ax.get_xlabel(), width, 10.0), wrap=True)
    ax.set_ylabel(wrap(ax.get_ylabel(), height, 10.0))
    ax.spines[["top", "right"]].set_visible(False)


def pixels(ax: Axes, values: npt.NDArray[Any], title: str = "", **look: Any) -> AxesImage:
    """Draw values ``[H, W]`` as an image without ticks; ``look`` goes to ``imshow``."""
    ax.set_title(wrap(title, 1.3 * extent(ax)[0], 9.0), fontsize=letters(9))
    ax.set(xticks=[], yticks=[])
    return ax.imshow(values, interpolation="nearest", **look)


def grey_levels(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Return ``imshow`` options for grey pictures over the range of ``values`` and 0."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-6)
    return {"cmap": "gray", "vmin": low, "vmax": high}


def evenly_chosen(count: int, most: int) -> list[int]:
    """Return at most ``most`` evenly spaced indices below ``count``, with first and last."""
    ticks: list[int] = np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()
    return ticks


def integer_ticks(axis: Axis, count: int = 10) -> None:
    """Put ticks at whole numbers only, at most about ``count`` of them."""
    axis.set_major_locator(MaxNLocator(nbins=count, integer=True, min_n_ticks=1))
    axis.set_major_formatter(lambda value, _: f"{value:.0f}")


def name_classes(axis: Axis, names: Sequence[str], room: float) -> None:
    """Write the names of the classes along an axis; without names, their numbers.

    ``room`` is the length of the axis in units of ``font.size``.
    """
    if not names:
        integer_ticks(axis, min(20, int(room / 0.88)))
        return
    size = float(np.clip(10 * room / len(names), 4.0, 9.0))
    axis.set_ticks(range(len(names)), names, fontsize=letters(size))
    if isinstance(axis, XAxis) and max(map(len, names)) > 2:
        axis.set_tick_params(labelrotation=90)


def time_axis(ax: Axes, steps: int) -> None:
    """Set x to the timesteps 0 .. ``steps`` - 1, with labels that do not touch."""
    ax.set(xlim=(-0.5, steps - 0.5), xlabel="timestep")
    integer_ticks(ax.xaxis, min(10, max(1, int(extent(ax)[0] / 2.4))))


def count_text(spikes: float) -> str:
    """Return a number of spikes in words: "1 spike", "1,234 spikes"."""
    return f"{int(spikes):,} spike{'' if spikes == 1 else 's'}"


def note(ax: Axes, text: str, height: float = 0.5) -> None:
    """Write why there is nothing to see, at the given share of the picture's height."""
    ax.text(0.5, height, text, transform=ax.transAxes, ha="center", va="center", color=GREY)


def caption(ax: Axes, text: str) -> None:
    """Write how to read a picture below its axis of timesteps or images."""
    below = 11 + letters(23)  # the ticks, their numbers and the label
    ax.annotate(
        wrap(text, 1.1 * extent(ax)[0]), (0, 0), (0, -below), "axes fraction", "offset points",
        va="top", fontsize=letters(), annotation_clip=False, wrap=True,
    )  # fmt: skip


def legend_above(ax: Axes, columns: int = 3) -> float:
    """Put the legend above the Axes, at the right, where it hides no data; return its height.

    It has fewer columns where they would be wider than the Axes. The height is in points.
    """
    look: dict[str, Any] = {"frameon": False, "fontsize": letters(), "handlelength": 1.8}
    look |= {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "columnspacing": 1.2}
    for ncols in range(columns, 0, -1):
        legend = ax.legend(ncols=ncols, **look)
        for text in legend.texts:
            text.set_text(wrap(text.get_text(), extent(ax)[0]))
        box = legend.get_window_extent()
        if box.width <= 1.15 * ax.get_window_extent().width:
            break
    return float(box.height / ax.figure.dpi * 72)


def legend_beside(ax: Axes, title: str, marked: Container[int | None] = ()) -> None:
    """Put the legend at the right of the Axes, in the order in which the curves end.

    Of more than 16 curves the marked ones and those that end highest have an entry, and the title
    says so: a second column would leave no room for the curves.
    """
    ends = [float(np.asarray(curve.get_ydata())[-1]) for curve in ax.lines]
    entries = sorted(range(len(ends)), key=lambda i: (i not in marked, -ends[i]))[:_ENTRIES]
    curves = [ax.lines[i] for i in sorted(entries, key=lambda i: -ends[i])]
    if len(curves) < len(ends):
        title = f"{title}: {len(curves)} of {len(ends)}"
    look: dict[str, Any] = {"frameon": False, "fontsize": letters(), "title_fontsize": letters()}
    look |= {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "labelspacing": 0.2}
    ax.legend(handles=curves, title=title, handlelength=2.6, **look)

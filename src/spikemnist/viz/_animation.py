"""Animation of a network, timestep by timestep.

Shapes: ``T`` timesteps, ``C`` classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.animation import FuncAnimation

from spikemnist.viz import _style
from spikemnist.viz._decisions import count_bars, limit_counts, running_decision
from spikemnist.viz._samples import class_label, frames, input_sample, one_sample, to_numpy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text
    from torch import Tensor

    from spikemnist.models.record import Record
    from spikemnist.viz._samples import Array


def animate(
    record: Record,
    *,
    sample: int = 0,
    label: int | Tensor | None = None,
    image_shape: tuple[int, int] | None = None,
    interval: int = 200,
) -> FuncAnimation:
    """Animate one sample: the input, the output membranes and spike counts, the leading class.

    There is one frame per timestep. ``animation.to_jshtml()`` gives HTML for a notebook or a page,
    ``animation.save("digit.gif", writer="pillow")`` a GIF; neither needs ffmpeg.

    Parameters
    ----------
    record : Record
        Record of a model that was called with ``record="all"`` on an input ``[T, B, ...]``.
    sample : int, default 0
        Index of the sample in the batch.
    label : int or torch.Tensor, default None
        True class of the sample, if known.
    image_shape : tuple of int, default None
        Height and width, for flat inputs that are not square.
    interval : int, default 200
        Time between two frames, in ms.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        The animation. Keep it in a variable until it is saved.

    Raises
    ------
    IndexError
        When the batch has no such sample.
    ValueError
        When the Record holds no input, or the input does not form a picture.

    Examples
    --------
    >>> from spikemnist import LatencyEncoder, LeakyMLP, load_digits, viz
    >>> digits = load_digits()[1][:4]
    >>> spikes = LatencyEncoder(num_steps=2)(digits.images)
    >>> record = LeakyMLP(hidden=(20,))(spikes, record="all")
    >>> animation = viz.animate(record, sample=1, label=digits.labels[1])
    >>> animation.to_jshtml().count("data:image/png")
    2
    """
    values = to_numpy(frames(input_sample(record, sample), image_shape))
    scene = _Scene(record, sample, class_label(label, record.scores.shape[-1]), values)
    return FuncAnimation(
        scene.figure, scene.show, frames=len(values), init_func=scene.artists, interval=interval
    )


class _Scene:
    """The artists of the animation, and their update at a timestep."""

    def __init__(self, record: Record, sample: int, label: int | None, values: Array) -> None:
        self.values = values
        self.truth = "" if label is None else f" (true class {label})"
        self.membrane = to_numpy(one_sample(record.membrane, sample))
        self.counts = to_numpy(one_sample(record.spikes, sample)).cumsum(0)
        _, self.leader = running_decision(record, sample)
        self.figure: Figure = _style.new_figure(8.0, 4.8)
        places = self.figure.add_gridspec(2, 2, width_ratios=(1.0, 1.35))
        window = self.figure.add_subplot(places[:, 0])
        window.set_title("input", fontsize=10)
        self.picture = _style.pixels(window, values[0], **_style.grey_levels(values))
        self.curves = self.figure.add_subplot(places[0, 1])
        self.lines = _draw_membranes(self.curves, self.membrane)
        self.names = _name_lines(self.curves, len(self.lines), label)
        below = self.figure.add_subplot(places[1, 1])
        self.bars = count_bars(below, self.counts[-1], label, edgecolor=_style.BLUE)
        limit_counts(below, self.counts[-1], "spikes so far", room=1.05)
        self.title = self.figure.suptitle("", fontsize=11)
        self.show(len(values) - 1)
        # Compute the layout once: for each frame it would cost time, and the picture would tremble.
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def artists(self) -> Iterable[Artist]:
        return (self.picture, *self.lines, *self.names, *self.bars, self.title)

    def show(self, step: int) -> Iterable[Artist]:
        """Set every artist to its state after timestep ``step``."""
        leader = int(self.leader[step])
        self.picture.set_data(self.values[step])
        for index, line in enumerate(self.lines):
            line.set_data(np.arange(step + 1), self.membrane[: step + 1, index])
            line.set_linewidth(2.6 if index == leader else 1.1)
        heights = _style.label_heights(self.curves, self.membrane[step])
        for name, height in zip(self.names, heights, strict=True):
            name.set_position((step + 0.4, height))
        for index, bar in enumerate(self.bars):
            bar.set_height(float(self.counts[step, index]))
            bar.set_hatch("///" if index == leader else "")
            bar.set_facecolor(_style.SKY if index == leader else _style.PALE)
        self.title.set_text(f"after timestep {step}: class {leader} leads{self.truth}")
        return self.artists()


def _draw_membranes(ax: Axes, membrane: Array) -> list[Line2D]:
    lines = [
        ax.plot(
            np.arange(len(membrane)),
            membrane[:, index],
            color=_style.class_colour(index),
            linestyle=_style.class_dashes(index),
            marker="o" if len(membrane) == 1 else "",
            label=f"class {index}",
        )[0]
        for index in range(membrane.shape[1])
    ]
    ax.autoscale_view()
    ax.set_autoscale_on(False)  # keep the limits of the whole run while the curves grow
    _style.time_axis(ax, len(membrane))
    _style.open_frame(ax, ylabel="membrane potential")
    return lines


def _name_lines(ax: Axes, classes: int, label: int | None) -> list[Text]:
    return [
        ax.text(
            0.0,
            0.0,
            f"{index} (true)" if index == label else f"{index}",
            va="center",
            fontsize=_style.SMALL,
            fontweight="bold" if index == label else "normal",
        )
        for index in range(classes)
    ]

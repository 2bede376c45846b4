"""Animation of a network, timestep by timestep.

Shapes: ``T`` timesteps, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from spikemnist.models.record import Record
from spikemnist.viz import _style
from spikemnist.viz._classes import count_bars, limit_counts, score_name
from spikemnist.viz._samples import (
    Array,
    are_spikes,
    class_label,
    class_names,
    drawing,
    frames,
    input_sample,
    one_sample,
    to_numpy,
)

_HOLD = 4  # times that the last frame is shown


@drawing
def animate(
    record: Record,
    *,
    sample: int = 0,
    label: int | Tensor | None = None,
    image_shape: tuple[int, int] | None = None,
    interval: int = 500,
) -> FuncAnimation:
    """Animate one sample: the input, the output membranes and spike counts, the leading class.

    If a class has several output neurons, their means are drawn. There is one frame per timestep,
    and the last one stays four times as long. Earlier spikes are grey, and the title says what the
    readout compares. ``animation.to_jshtml()`` gives HTML for a notebook or a page,
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
    interval : int, default 500
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
    >>> animation.to_jshtml().count("data:image/png")  # two timesteps, the last one four times
    5
    """
    values = to_numpy(frames(input_sample(record, sample), image_shape))
    scene = _Scene(record, sample, class_label(label, record.scores.shape[-1]), values)
    return FuncAnimation(
        scene.figure,
        scene.show,
        frames=[*range(len(values)), *[len(values) - 1] * (_HOLD - 1)],
        interval=interval,
    )


class _Scene:
    """The artists of the animation, and their update at a timestep."""

    def __init__(self, record: Record, sample: int, label: int | None, values: Array) -> None:
        self.values = values
        if are_spikes(values):
            self.values = np.maximum(values, 0.4 * np.maximum.accumulate(values))
        self.classes = class_names(record)
        self.truth = "" if label is None else f" (true class {self.classes[label]})"
        self.membrane = to_numpy(one_sample(record.by_class(record.membrane), sample))
        self.counts = to_numpy(one_sample(record.by_class(record.spikes), sample)).cumsum(0)
        self.leader = record.running_predictions[:, sample].tolist()
        self.score = score_name(record).replace("\n", " ")
        self.figure: Figure = _style.new_figure(_style.PANEL_WIDTH, 4.2)
        cells = self.figure.add_gridspec(2, 2, width_ratios=(1.0, 1.4), height_ratios=(1.4, 1.0))
        window = self.figure.add_subplot(cells[0, 0])
        title = "input (earlier spikes grey)" if are_spikes(values) else "input, a current"
        self.picture = _style.pixels(window, values[0], title, **_style.grey_levels(values))
        self.curves = self.figure.add_subplot(cells[:, 1])
        labels = [f"{n} (true)" if i == label else n for i, n in enumerate(self.classes)]
        self.lines = _draw_membranes(self.curves, self.membrane, labels)
        below = self.figure.add_subplot(cells[1, 0])
        self.bars = count_bars(below, self.counts[-1], label, edgecolor=_style.BLUE)
        limit_counts(below, record, "spikes so far")
        self.title = self.figure.suptitle("\n", fontsize=_style.letters(10))
        self.show(len(values) - 1)
        # Compute the layout once: for each frame it would cost time, and the picture would tremble.
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def show(self, step: int) -> Iterable[Artist]:
        """Set every artist to its state after timestep ``step``."""
        leader = self.leader[step]
        self.picture.set_data(self.values[step])
        for index, line in enumerate(self.lines):
            line.set_data(np.arange(step + 1), self.membrane[: step + 1, index])
            line.set_linewidth(2.6 if index == leader else 1.1)
        for index, bar in enumerate(self.bars):
            bar.set_height(float(self.counts[step, index]))
            bar.set_hatch("///" if index == leader else "")
            bar.set_facecolor(_style.SKY if index == leader else _style.PALE)
        leads = f"t = {step}: class {self.classes[leader]} leads{self.truth}"
        self.title.set_text(f"{leads}\nby {self.score}")
        return (self.picture, *self.lines, *self.bars, self.title)


def _draw_membranes(ax: Axes, membrane: Array, labels: Sequence[str]) -> list[Line2D]:
    lines = ax.plot(membrane, marker="o", markersize=3.0)
    for index, line in enumerate(lines):
        line.set(label=labels[index], **_style.class_look(index))
    _style.legend_beside(ax, "class")
    ax.autoscale_view()
    ax.set_autoscale_on(False)  # keep the limits of the whole run while the curves grow
    _style.time_axis(ax, len(membrane))
    _style.open_frame(ax, ylabel="membrane potential of the output")
    return lines

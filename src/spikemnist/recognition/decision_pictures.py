"""Pictures of a decision: the spikes and the scores of the output layer.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from spikemnist.models.readout import name_of, running_scores
from spikemnist.models.record import Record
from spikemnist.viz import _style
from spikemnist.viz._classes import count_bars, limit_counts, of_group, score_name
from spikemnist.viz._membranes import membrane
from spikemnist.viz._samples import (
    Array,
    class_label,
    class_names,
    drawing,
    one_sample,
    to_numpy,
    which,
)

_LETTER = 0.68  # of font.size: the width that a letter of the strip needs


@drawing
def spike_counts(
    record: Record,
    *,
    sample: int = 0,
    label: int | Tensor | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw how often the output neuron of each class fired, with predicted and true class marked.

    The predicted class is given by the record's readout. With a membrane readout it need not be
    the class that fired most. It is hatched and named; the true class has a thick outline and is
    named. A bar is the mean over the neurons of a class, if it has several.

    Parameters
    ----------
    record : Record
        Record of a model, with output spikes ``[T, B, N]``.
    sample : int, default 0
        Index of the sample in the batch.
    label : int or torch.Tensor, default None
        True class of the sample, if known.
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
        When ``label`` is not a class of the record.

    Examples
    --------
    >>> from spikemnist import LatencyEncoder, LeakyMLP, load_digits, viz
    >>> digits = load_digits()[1][:4]
    >>> spikes = LatencyEncoder(num_steps=8)(digits.images)
    >>> figure = viz.spike_counts(LeakyMLP(hidden=(20,))(spikes), label=digits.labels[0])
    >>> ax = figure.axes[0]
    >>> ax.get_xlabel(), ax.get_ylabel(), len(ax.patches)
    ('class', 'spikes in 8 timesteps', 10)
    """
    counts = to_numpy(one_sample(record.by_class(record.spikes), sample)).sum(0)
    label = class_label(label, len(counts))
    prediction = int(record.predictions[sample])
    ax = _style.axes_or_new(ax, _style.PANEL_WIDTH, 3.4)
    bars = count_bars(ax, counts, label)
    bars[prediction].set(facecolor=_style.SKY, hatch="///")
    if prediction != label:
        bars[prediction].set(edgecolor=_style.BLUE)
    if not counts.any():
        _style.note(ax, "no output neuron fired")
    roles = [_roles(index, prediction, label, "\n") for index in range(len(counts))]
    ax.bar_label(bars, roles, padding=3, fontsize=_style.letters())
    limit_counts(ax, record, f"spikes in {len(record.spikes)} timesteps{of_group(record)}")
    readout = name_of(record.readout)
    _style.set_title(ax, f"output spikes{which(record.spikes, sample)} (readout {readout})")
    return _style.root_figure(ax)


def _roles(index: int, prediction: int, label: int | None, separator: str) -> str:
    roles = ["predicted"] if index == prediction else []
    return separator.join(roles + (["true"] if index == label else []))


@drawing
def decision(
    record: Record,
    *,
    sample: int = 0,
    label: int | Tensor | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the score of each class after each timestep, and the leading class.

    The strip above the curves shows the leading class at every timestep and names it where there
    is room. It is the first of ``figure.axes[0].child_axes``. The legend marks the predicted
    and the true class where there is room; of more than 16 classes it has these and those that
    lead in the end, 16 together.

    Parameters
    ----------
    record : Record
        Record of a model, whose readout gives the scores, ``[T, B, C]`` over time.
    sample : int, default 0
        Index of the sample in the batch.
    label : int or torch.Tensor, default None
        True class of the sample, if known.
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
        When ``label`` is not a class of the record, or its readout is unknown.

    Examples
    --------
    >>> from spikemnist import LatencyEncoder, LeakyMLP, load_digits, viz
    >>> digits = load_digits()[1][:4]
    >>> spikes = LatencyEncoder(num_steps=8)(digits.images)
    >>> figure = viz.decision(LeakyMLP(hidden=(20,))(spikes), label=digits.labels[0])
    >>> ax = figure.axes[0]
    >>> ax.get_ylabel(), len(ax.lines)
    ('mean membrane potential so far', 10)
    """
    spikes, membrane = (
        one_sample(values, sample)[:, None].float() for values in (record.spikes, record.membrane)
    )
    running = running_scores(record.readout, spikes, membrane).squeeze(1)
    scores = to_numpy(record.by_class(running))
    steps, classes = scores.shape
    label = class_label(label, classes)
    prediction = int(record.predictions[sample])
    ax = _style.axes_or_new(ax, _style.PANEL_WIDTH, 3.8)
    names, readout = class_names(record), name_of(record.readout)
    _draw_scores(ax, scores, names, readout, prediction, label)
    if not spikes.any() and "membrane" not in readout:
        _style.note(ax, "no output neuron fired:\nthe highest mean membrane leads", 0.85)
    _style.time_axis(ax, steps)
    _style.open_frame(ax, ylabel=score_name(record))
    _draw_leaders(ax, record.running_predictions[:, sample].cpu().numpy(), names)
    truth = "" if label is None else f", true class {names[label]}"
    predicted = f"predicted class {names[prediction]}"
    _style.set_title(ax, f"{predicted}{truth}{which(record.spikes, sample)}")
    return _style.root_figure(ax)


def _draw_scores(
    ax: Axes,
    scores: Array,
    names: Sequence[str],
    readout: str,
    prediction: int,
    label: int | None,
) -> None:
    time = np.arange(len(scores))
    for index, name in enumerate(names):
        role = _roles(index, prediction, label, ", ")
        ax.plot(
            time,
            scores[:, index],
            **_style.class_look(index),
            linewidth=2.6 if role else 1.1,
            marker="o" if index == label or len(time) == 1 else "",
            markersize=5.0 if index == label else 3.0,
            markevery=max(1, len(time) // 25),
            zorder=3 if role else 2,
            label=f"{name} ({role})" if role and len(name + role) < _room(ax) else name,
        )
    if readout in ("spike_count", "first_spike"):
        bottom, top = ax.get_ylim()
        ax.set_ylim(bottom, max(top, bottom + 1.1))
        _style.integer_ticks(ax.yaxis)
    _style.legend_beside(ax, "class", {prediction, label})


def _room(ax: Axes) -> float:
    """Return about the width that the layout leaves beside the legend, as `_style.extent`."""
    return 1.35 * float(_style.extent(ax)[0]) - 8


def _draw_leaders(ax: Axes, leader: npt.NDArray[np.int64], names: Sequence[str]) -> None:
    strip = ax.inset_axes((0.0, 1.02, 1.0, 0.08), sharex=ax)
    starts = np.append(0, np.flatnonzero(np.diff(leader)) + 1)
    widths = np.diff(np.append(starts, len(leader)))
    colours = [_style.class_colour(int(index)) for index in leader[starts]]
    strip.barh(0.5, widths, height=1.0, left=starts - 0.5, color=colours, edgecolor="white")
    strip.set_ylim(0.0, 1.0)
    strip.tick_params(bottom=False, labelbottom=False, left=False, labelleft=False)
    strip.set_ylabel("leads", rotation=0, ha="right", va="center", fontsize=_style.letters())
    for start, width, colour in zip(starts, widths, colours, strict=True):
        name = names[leader[start]]
        if width * _room(ax) >= _LETTER * len(name) * len(leader):
            place = float(start + (width - 1) / 2), 0.5
            _style.write_on(strip, place, name, colour, _style.letters())


def decision_of_image(
    record: Record, image: Tensor | None, *, sample: int, label: int | Tensor | None
) -> Figure:
    """Draw the image, if there is one, the output membranes, and the running decision."""
    heights = [4.9, 3.4] if image is None else [2.2, 4.9, 3.4]
    figure = _style.new_figure(5.6, sum(heights))
    *above, middle, below = figure.subplots(len(heights), 1, height_ratios=heights)
    if image is not None:
        flat = image.reshape(-1, image.shape[-1])  # a vector is a row of pixels
        pixels = (image.movedim(0, -1) if image.ndim == 3 else flat).cpu().numpy()
        _style.pixels(above[0], pixels, "what the network sees", **_style.grey_levels(pixels))
    decision(record, sample=sample, label=label, ax=below)
    figure.draw_without_rendering()  # its legend narrows all panels, into which the next one fits
    membrane(record, sample=sample, ax=middle)
    return figure

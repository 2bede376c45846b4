"""Pictures of training: learning curves and confusion matrix.

Shapes: ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import PercentFormatter

from spikemnist.viz import _style
from spikemnist.viz._samples import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from spikemnist._evaluation import Evaluation
    from spikemnist.training.metrics import History
    from spikemnist.viz._samples import Array

Look = dict[str, Any]

_SMALLEST_CELL = 0.82  # with its count, in units of font.size
_TRAINING: Look = {"color": _style.BLUE, "marker": "o", "linestyle": "solid"}
_VALIDATION: Look = {"color": _style.VERMILLION, "marker": "s", "linestyle": (0, (5, 1.5))}
_BEST: Look = {"color": _style.GREY, "linestyle": (0, (1.2, 1.8)), "zorder": 1}
_WHY_HIGHER = "The network has seen the training images in every epoch, and the test images never."


@drawing
def training_curves(
    history: History, *, test: Evaluation | None = None, ax: Sequence[Axes] | None = None
) -> Figure:
    """Draw loss and accuracy over the epochs, for training and validation.

    The best epoch is marked in both panels. Metrics that were not measured are left out.

    Parameters
    ----------
    history : History
        History that `fit` returned.
    test : Evaluation, default None
        Result on images that the network was not trained with. Its accuracy is drawn as a dotted
        line; it is lower than that of the training images, which are seen in every epoch.
    ax : sequence of matplotlib.axes.Axes, default None
        Two Axes to draw into, for the loss and for the accuracy; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure with the two panels.

    Raises
    ------
    ValueError
        When no epoch was finished.

    Examples
    --------
    >>> from spikemnist import viz
    >>> from spikemnist.training.metrics import EpochMetrics, History
    >>> first = EpochMetrics(1, 0.50, 0.80, 0.40, 0.88, 1e-3, 40.0)
    >>> second = EpochMetrics(2, 0.30, 0.90, 0.35, 0.91, 1e-3, 42.0)
    >>> figure = viz.training_curves(History([first, second], best_epoch=2))
    >>> [panel.get_ylabel() for panel in figure.axes]
    ['loss', 'accuracy']
    """
    if not len(history):
        raise ValueError("this History has no finished epoch to draw")
    loss, accuracy = _style.new_figure(6.6, 3.4).subplots(1, 2) if ax is None else ax
    _draw_metric(loss, history, "loss")
    _draw_metric(accuracy, history, "accuracy", test)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure = _style.root_figure(loss)
    if test is not None and ax is None:
        figure.supxlabel(_WHY_HIGHER, fontsize=_style.letters(), wrap=True)
    return figure


def _draw_metric(ax: Axes, history: History, name: str, test: Evaluation | None = None) -> None:
    epochs = np.array([row.epoch for row in history.epochs])
    options: Look = {"linewidth": 1.6, "markersize": 5.0 if len(epochs) <= 40 else 0.0}
    for column, label, look in (
        (name, "training", _TRAINING),
        (f"validation_{name}", "validation", _VALIDATION),
    ):
        values = np.array(history.column(column))
        finite = np.isfinite(values)
        if finite.any():
            ax.plot(epochs[finite], values[finite], label=label, **look, **options)
    if history.best_epoch is not None:
        label = f"best epoch ({history.best_epoch})"
        ax.axvline(history.best_epoch, linewidth=1.4, label=label, **_BEST)
    if test is not None:
        ax.axhline(
            test.accuracy, color=_style.BLACK, linestyle="dotted", label="unseen test images"
        )
    margin = max(0.5, 0.03 * len(epochs))
    limits = epochs[0] - margin, epochs[-1] + margin
    _style.open_frame(ax, xlim=limits, xlabel="epoch", ylabel=name)
    _style.integer_ticks(ax.xaxis)
    _style.legend_above(ax, columns=2)


@drawing
def confusion(evaluation: Evaluation, *, ax: Axes | None = None) -> Figure:
    """Draw the confusion matrix: labels in rows, predictions in columns.

    A cell is coloured by its share of the row, and shows its count unless it is 0 or has no room.
    Classes have their names, if the evaluation knows them, else their numbers.

    Parameters
    ----------
    evaluation : Evaluation
        Result of `spikemnist.evaluate`, with ``confusion`` ``[C, C]``.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The new figure, or that of ``ax``.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, evaluate, load_digits, viz
    >>> classifier = Classifier(LeakyMLP(hidden=20), "latency")
    >>> figure = viz.confusion(evaluate(classifier, load_digits()[1][:50]))
    >>> ax = figure.axes[0]
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('predicted class', 'true class')
    """
    counts = np.asarray(evaluation.confusion)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax = _style.axes_or_new(ax, 6.0, 5.2)
    image = ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    width, height = _style.extent(ax)
    room = max(2.0, min(width - 8, 0.87 * height))  # beside the colour bar, above the labels
    if room > _SMALLEST_CELL * len(counts):
        _write_counts(image, counts, share, room / len(counts))
    bar = ax.figure.colorbar(image, ax=ax, format=PercentFormatter(1.0))
    bar.set_label(_style.wrap("share of the class's samples (numbers: samples)", height, 10.0))
    ax.set(xlabel="predicted class", ylabel="true class")
    for axis in (ax.xaxis, ax.yaxis):
        _style.name_classes(axis, evaluation.classes, room)
    _style.set_title(ax, f"accuracy {evaluation.accuracy:.2%} on {evaluation.samples:,} samples")
    return _style.root_figure(ax)


def _write_counts(image: AxesImage, counts: Array, share: Array, cell: float) -> None:
    size = _style.letters(float(np.clip(3.9 * cell, 4.0, 9.0)))  # four digits fit
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = image.cmap(float(share[row, column]))
        _style.write_on(image.axes, (column, row), f"{counts[row, column]:.0f}", colour, size)

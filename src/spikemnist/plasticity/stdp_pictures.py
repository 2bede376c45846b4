"""Pictures of neurons that learn by STDP.

Shapes: ``N`` neurons, ``P`` pixels, ``S`` snapshots, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from spikemnist.viz import _style
from spikemnist.viz._samples import Array
from spikemnist.viz._weights import lay_out, show_weights

_LEAP = "At first a few neurons fire for all the others. The accuracy leaps when all take part."


def stdp_window(lag: ArrayLike, change: ArrayLike, *, ax: Axes | None = None) -> Figure:
    """Draw the change of a weight by a pair of spikes against the time between them.

    Parameters
    ----------
    lag : array_like
        Times from the presynaptic spike to the postsynaptic one, in ms, ``[K]``.
    change : array_like
        Change of the weight at each lag, ``[K]``, from `spikemnist.plasticity.stdp_window` or from
        a rule applied to pairs of spikes.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The new figure, or that of ``ax``.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import viz
    >>> from spikemnist.plasticity import stdp_window
    >>> lag = torch.arange(-60.0, 61.0)
    >>> viz.stdp_window(lag, stdp_window(lag)).axes[0].get_xlabel()
    'postsynaptic spike after the presynaptic one (ms)'
    """
    lags, changes = np.asarray(lag, np.float64), np.asarray(change, np.float64)
    ax = _style.axes_or_new(ax, 6.0, 3.6)
    for side, colour, name in (
        (lags > 0, _style.BLUE, "stronger: the input came before"),
        (lags < 0, _style.VERMILLION, "weaker: the input came after"),
    ):
        ax.plot(lags[side], changes[side], color=colour, linewidth=2, label=name)
        ax.fill_between(lags[side], changes[side], color=colour, alpha=0.15, linewidth=0)
    ax.axhline(0, color=_style.GREY, linewidth=0.8)
    ax.axvline(0, color=_style.GREY, linewidth=0.8)
    label = "postsynaptic spike after the presynaptic one (ms)"
    _style.open_frame(ax, xlabel=label, ylabel="change of the weight")
    _style.legend_above(ax, columns=2)
    return _style.root_figure(ax)


def stdp(classifier: Any) -> Figure:
    """Draw what competing neurons have learned: running accuracy, classes and thresholds.

    From top to bottom: the accuracy that was estimated during training, which leaps when the
    thresholds have risen so far that all neurons take part; the number of neurons that respond most
    to each class and to none; and a histogram of the adaptation of the thresholds.

    Parameters
    ----------
    classifier : STDPClassifier
        A fitted `spikemnist.plasticity.STDPClassifier`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure with three Axes.

    Raises
    ------
    ValueError
        When the classifier is not fitted.

    Examples
    --------
    >>> from spikemnist import STDPClassifier, load_digits, viz
    >>> train = load_digits()[0][:100]
    >>> classifier = STDPClassifier(n_neurons=20).partial_fit(train.images, train.labels)
    >>> figure = viz.stdp(classifier)
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['running accuracy', 'neurons', 'neurons']
    >>> sum(int(bar.get_height()) for bar in figure.axes[1].patches)
    20
    """
    history = classifier.accuracy_history_
    figure = _style.new_figure(6.0, 8.9)
    accuracy, classes, thresholds = figure.subplots(3)
    accuracy.plot(history[:, 0], history[:, 1], color=_style.BLUE, marker="o", markersize=3)
    accuracy.set_xlim(left=0)
    label = "training images so far"
    _style.open_frame(accuracy, ylim=(0, 1), xlabel=label, ylabel="running accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    _style.caption(accuracy, _LEAP)
    _draw_classes(classes, classifier.assignments_, [str(name) for name in classifier.classes_])
    _draw_thresholds(thresholds, classifier.theta_)
    return figure


def _draw_classes(ax: Axes, assignments: Array, names: list[str]) -> None:
    silent, *counts = np.bincount(assignments + 1, minlength=len(names) + 1).tolist()
    if silent:
        names, counts = [*names, "none"], [*counts, silent]
    colours = [_style.GREY if name == "none" else _style.BLUE for name in names]
    bars = ax.bar(range(len(names)), counts, color=colours)
    ax.bar_label(bars, fontsize=_style.letters(), padding=1)
    ax.set_xticks(range(len(names)), names)
    _style.open_frame(ax, xlabel="class that a neuron responds to most", ylabel="neurons")
    _style.integer_ticks(ax.yaxis)
    _style.set_title(ax, f"{len(assignments):,} neurons by class")


def _draw_thresholds(ax: Axes, theta: Array) -> None:
    ax.hist(theta, bins=min(40, max(5, len(theta) // 5)), color=_style.BLUE)
    ax.axvline(float(theta.mean()), color=_style.VERMILLION, linewidth=1.5)
    _style.open_frame(ax, xlabel="adaptation of the threshold (mV)", ylabel="neurons")
    _style.integer_ticks(ax.yaxis)
    spread = f"standard deviation {theta.std():.1f} mV"
    _style.set_title(ax, f"mean {theta.mean():.1f} mV (the line), {spread}")


def animate_receptive_fields(
    snapshots: Sequence[ArrayLike],
    *,
    titles: Sequence[str] | None = None,
    image_shape: tuple[int, int] = (28, 28),
    neurons: Sequence[int] | None = None,
    interval: int = 200,
) -> FuncAnimation:
    """Animate the input weights during training.

    Parameters
    ----------
    snapshots : sequence of array_like
        Weights ``[N, P]`` at each frame: `STDPClassifier.weights_` between calls of
        `STDPClassifier.partial_fit`.
    titles : sequence of str, default None
        Title of each frame.
    image_shape : tuple of int, default (28, 28)
        Height and width of the input, ``H * W = P``.
    neurons : sequence of int, default None
        Neurons to show; the first 64 by default.
    interval : int, default 200
        Time between two frames, in ms.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        ``animation.save("growth.gif", writer="pillow")`` writes a GIF.

    Raises
    ------
    ValueError
        When the weights do not fit ``image_shape``.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import viz
    >>> animation = viz.animate_receptive_fields(torch.rand(2, 4, 6), image_shape=(2, 3))
    >>> animation.to_jshtml().count("data:image/png")
    2
    """
    weights = [np.asarray(snapshot, np.float32) for snapshot in snapshots]
    frames = [lay_out(snapshot, image_shape, neurons)[2] for snapshot in weights]
    captions = titles or [f"snapshot {index + 1} of {len(frames)}" for index in range(len(frames))]
    figure = _style.new_figure(5.4, 5.6)
    ax = figure.add_subplot()
    limit = max(float(np.nanmax(np.abs(frame))) for frame in frames) or 1.0
    picture = show_weights(ax, frames[0], limit, signed=False)
    _style.set_title(ax, captions[0])

    def draw(index: int) -> Iterable[Artist]:
        picture.set_data(frames[index])
        _style.set_title(ax, captions[index])
        return (picture,)

    return FuncAnimation(figure, draw, frames=len(frames), interval=interval)

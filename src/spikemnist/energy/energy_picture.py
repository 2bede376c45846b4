"""Picture of accuracy against energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spikemnist.energy.costs import NANOJOULE
from spikemnist.viz import _style
from spikemnist.viz._samples import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from spikemnist.energy import Energy

_MARGINS = (*np.linspace(0, 0.9, 10).tolist(), 0.95, 0.98, 0.99, 0.999)


@drawing
def energy(measured: Energy, *, ax: Axes | None = None) -> Figure:
    """Draw accuracy against energy, after each timestep and with early exits.

    Vertical lines mark the energy of ANNs with the same layers. Their accuracy is not known.

    Parameters
    ----------
    measured : Energy
        Result of `spikemnist.energy.measure_energy`.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The new figure, or that of ``ax``.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits, measure_energy, viz
    >>> _, test = load_digits()
    >>> measured = measure_energy(Classifier(LeakyMLP(hidden=20), "latency"), test[:50])
    >>> viz.energy(measured).axes[0].get_xlabel()
    'energy per sample [nJ]'
    """
    ax = _style.axes_or_new(ax, _style.PANEL_WIDTH, 4.0)
    _draw_curves(ax, measured)
    _draw_anns(ax, measured)
    ax.set_xscale("log")  # an ANN may use many times more energy, or less
    ax.tick_params(axis="x", which="both", length=3.5, pad=3.5)
    ax.xaxis.set_major_formatter(_plain)
    ax.xaxis.set_minor_formatter(_plain)
    _style.open_frame(ax, xlabel="energy per sample [nJ]", ylabel="accuracy [%]")
    above = _style.legend_above(ax, columns=2)
    _style.set_title(ax, f"accuracy and energy, {measured.technology.name}", above=above)
    return _style.root_figure(ax)


def _draw_curves(ax: Axes, measured: Energy) -> None:
    spent = measured.energy_per_step.numpy() / NANOJOULE
    right = 100 * measured.accuracy_per_step.numpy()
    ax.margins(y=0.1)  # room for the numbers of the lowest points
    label = "all stop after the written number of timesteps"
    ax.plot(spent, right, color=_style.BLUE, marker="o", label=label)
    doubled = [2**power for power in range(len(spent).bit_length())]
    for steps in sorted({*doubled, len(spent)}):
        ax.annotate(
            f"{steps}", (spent[steps - 1], right[steps - 1]), (0.75, -0.75),
            textcoords="offset fontsize", va="top", fontsize=_style.letters(), color=_style.BLUE,
        )  # fmt: skip
    exits = map(measured.early_exit, _MARGINS)
    points = np.array([(stop.energy / NANOJOULE, 100 * stop.accuracy) for stop in exits])
    label = "each stops when its margin is large"
    ax.plot(*points.T, color=_style.VERMILLION, marker=".", label=label)


def _draw_anns(ax: Axes, measured: Energy) -> None:
    for estimate, name, dashes in (
        (measured.ann_dense, "ANN, dense", "solid"),
        (measured.ann_skipping, "ANN, zeros skipped", "dashed"),
    ):
        spends = estimate.total / NANOJOULE
        ax.axvline(spends, color=_style.GREY, linestyle=dashes, label=f"{name}: {spends:,.0f} nJ")


def _plain(value: float, _: object) -> str:
    """Label the ones, twos and fives of a logarithmic axis, without powers of ten.

    Examples
    --------
    >>> _plain(2000.0, None), _plain(3000.0, None), _plain(0.5, None)
    ('2,000', '', '0.5')
    """
    return f"{value:,.10g}" if f"{value:e}"[0] in "125" else ""

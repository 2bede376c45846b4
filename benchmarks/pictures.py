"""Pictures of the results: speed of each candidate, and its growth with size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks import stdp
from benchmarks.candidates import COMPILED, OURS, STAGES
from benchmarks.growth import sweeps, workload_of
from benchmarks.peers import PEERS
from benchmarks.plan import AXES
from benchmarks.report import AUTO, scaled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Results = dict[str, Any]

# Okabe & Ito (2008), Color Universal Design, without their yellow, which is too pale on white. Each
# colour has its own marker, so that lines differ in both.
OTHERS = ("snnTorch", *PEERS)
COLOURS = ("#000000", "#8C8C8C", "#009E73", "#CC79A7", "#E69F00", "#0072B2")
MARKERS = ("s", "D", "^", "v", "P", "X")
OURS_COLOURS = ("#D55E00", "#56B4E9")
SMALL = 8.0


def draw(results: Results, folder: Path) -> list[str]:
    """Draw all results, and return the names of the files."""
    figures: dict[str, Figure] = {}
    if measured := results["networks"]:
        base = results["runs"]["networks"]["plan"]["base"]
        shape = {key: value for key, value in base.items() if key != "code"}
        crossing = [network for network in measured if shape.items() <= network.items()]
        figures["stages.png"] = draw_stages(crossing)
        if grown := sweeps(measured, base):
            figures["growth.png"] = draw_growth(grown)
    if results["stdp"]:
        figures["stdp.png"] = draw_stdp(results["stdp"])
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=120)
    return list(figures)


def draw_stages(networks: Sequence[Results]) -> Figure:
    """Draw the throughput of each stage of each candidate, a row for each code."""
    figure = new_figure(12, 3.2 * len(networks))
    rows = figure.subfigures(len(networks), 1, squeeze=False)[:, 0]
    for row, network in zip(rows, networks, strict=True):
        row.suptitle(str(workload_of(network)), fontsize=10)
        candidates, timesteps = network["candidates"], network["work"]["timesteps"]
        for ax, stage in zip(row.subplots(1, len(STAGES), sharey=True), STAGES, strict=True):
            draw_speeds(ax, candidates, stage, timesteps)
            ax.set_title(stage, fontsize=9)
        row.supxlabel("samples × timesteps per second; line: middle half of the calls", fontsize=8)
    return figure


def draw_speeds(ax: Axes, candidates: Results, stage: str, timesteps: int) -> None:
    """Draw a dot for each candidate, with a line over the middle half of the calls."""
    names = list(candidates)
    for height, name in enumerate(names):
        timing = candidates[name]["stages"].get(stage)
        if timing is None:
            continue
        colour, marker = look(name)
        slow, fast = (timesteps / value for value in reversed(timing["quartiles"]))
        ax.plot([slow, fast], [height, height], color=colour, linewidth=2)
        ax.plot(timesteps / timing["median"], height, marker, color=colour, markersize=6)
    ax.set_xscale("log")
    ax.set_yticks(range(len(names)), names, fontsize=SMALL)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", color="#D9D9D9", linewidth=0.6)
    few_ticks(ax)


def draw_growth(grown: Sequence[Results]) -> Figure:
    """Draw the time of a training step along each sweep, a row for each code."""
    codes, swept = (list(dict.fromkeys(sweep[key] for sweep in grown)) for key in ("code", "axis"))
    figure = new_figure(11, 0.9 + 2.9 * len(codes))
    axes = figure.subplots(len(codes), len(swept), squeeze=False)
    for row, code in zip(axes, codes, strict=True):
        for ax, axis in zip(row, swept, strict=True):
            here = [sweep for sweep in grown if (sweep["code"], sweep["axis"]) == (code, axis)]
            for sweep in here:
                exponent = f"{shorter(sweep['candidate'])}  {sweep['exponent']:.2f}"
                draw_line(ax, sweep["candidate"], sweep["sizes"], sweep["seconds"], exponent)
            finish_lines(ax, AXES[axis], [size for sweep in here for size in sweep["sizes"]])
            ax.set_title(f"{code} code", fontsize=9, loc="left")
            legend(ax, "exponent")
        row[0].set_ylabel("training step, ms", fontsize=SMALL)
    return figure


def draw_stdp(measured: Sequence[Results]) -> Figure:
    """Draw time and memory of learning by STDP, a column for each axis."""
    figure = new_figure(9.5, 5.6)
    axes = figure.subplots(2, len(stdp.AXES), sharey="row", squeeze=False)
    for (above, below), (axis, label) in zip(axes.T, stdp.AXES.items(), strict=True):
        here = [point for point in measured if point["axis"] == axis]
        sizes = [point[axis] for point in here]
        (powers,) = stdp.fit(here) or [{}]
        for ax, name, scale, colour, marker in (
            (above, "learn", 1e3, "#D55E00", "o"),
            (above, "respond", 1e3, "#0072B2", "s"),
            (below, "bytes", 2**-20, "#009E73", "^"),
        ):
            if all(point[name] for point in here):
                values = [point[name] * scale for point in here]
                said = stdp.QUANTITIES[name]
                said += f"  {powers[name]:.2f}" if powers else ""
                ax.plot(sizes, values, marker=marker, color=colour, label=said)
        for ax in (above, below):
            finish_lines(ax, label, sizes)
            legend(ax, "exponent")
    axes[0][0].set_ylabel("time of an image, ms", fontsize=SMALL)
    axes[1][0].set_ylabel("memory added, MiB", fontsize=SMALL)
    return figure


def draw_line(
    ax: Axes, name: str, sizes: Sequence[float], seconds: Sequence[float], label: str
) -> None:
    """Draw one candidate's times in milliseconds."""
    colour, marker = look(name)
    ax.plot(
        sizes,
        [1e3 * value for value in seconds],
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=2.4 if name == AUTO else 1.2,
        linestyle=":" if name.startswith(OURS) and name != AUTO else "-",
        zorder=3 if name == AUTO else 2,
        label=label,
    )


def finish_lines(ax: Axes, label: str, sizes: Sequence[float]) -> None:
    """Make both axes logarithmic, with a tick at each size."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(sorted(set(sizes)), [f"{size:,.0f}" for size in sorted(set(sizes))])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", length=0)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=SMALL)
    ax.set_xlabel(label, fontsize=SMALL)
    ax.grid(color="#D9D9D9", linewidth=0.6)
    open_frame(ax)


def legend(ax: Axes, title: str | None) -> None:
    """Put the legend to the right of the plot, where it hides nothing."""
    ax.legend(
        title=title,
        fontsize=6.5,
        title_fontsize=6.5,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.03),
        handlelength=1.6,
        borderaxespad=0.2,
    )


def few_ticks(ax: Axes) -> None:
    """Label at least two powers of ten, with unit prefixes."""
    low, high = ax.get_xlim()
    ax.set_xlim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    ax.xaxis.set_major_locator(LogLocator(numticks=4))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: scaled(value)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", labelsize=SMALL)
    open_frame(ax)


def look(name: str) -> tuple[str, str]:
    """Return the colour and marker of a candidate, the same in every picture."""
    if name == AUTO:
        return OURS_COLOURS[0], "o"
    if name.startswith(OURS):
        return OURS_COLOURS[1], "<" if name.endswith("reference") else ">"
    index = OTHERS.index(name.removesuffix(COMPILED))
    return COLOURS[index], MARKERS[index]


def shorter(name: str) -> str:
    """Return a short name for the legend."""
    return name.removeprefix(OURS) if name != AUTO else "spikemnist"


def open_frame(ax: Axes) -> None:
    """Remove the top and right border."""
    ax.spines[["top", "right"]].set_visible(False)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of the given size in inches."""
    return Figure(
        figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08), facecolor="white"
    )

"""Draw the small pictures on the cards of the docs' index pages.

    python scripts/make_cards.py [--out FOLDER] [NAME ...]

Each function draws one card, from what the library computes or from the benchmark results. The
pictures are legible at half their size, and few colours keep all of them together below 300 KB.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from spikemnist import ops
from spikemnist._atomic import write_atomically
from spikemnist.data import ImageDataset, load_digits, prepare_image
from spikemnist.encoding import LatencyEncoder
from spikemnist.energy import measure_energy
from spikemnist.models import LeakyMLP, Record, running_scores
from spikemnist.plasticity import STDPClassifier
from spikemnist.training import History, evaluate, fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

DOCS = Path(__file__).resolve().parents[1] / "docs"
SIZE, DPI, COLOURS = (4.8, 2.1), 100, 24
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#d55e00", "#009e73", "#cc3311", "#8c8c8c"
ENCODER = LatencyEncoder(num_steps=16)
INDEX, FONT = 430, 19

Draw = Callable[["list[Axes]"], None]
CARDS: dict[str, tuple[int, Draw]] = {}


def card(name: str, panels: int = 1) -> Callable[[Draw], Draw]:
    """Return a decorator that registers the function of a card."""

    def register(draw: Draw) -> Draw:
        CARDS[name] = (panels, draw)
        return draw

    return register


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the cards.")
    parser.add_argument("--out", type=Path, default=DOCS / "_static" / "cards")
    parser.add_argument("names", nargs="*", help="cards to draw (default: all)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in options.names or CARDS:
        save = partial(drawn(name).save, format="png", optimize=True)
        write_atomically(options.out / f"{name}.png", save)


def drawn(name: str) -> Image.Image:
    """Return the picture of a card, in few colours."""
    panels, draw = CARDS[name]
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(GREY)
    draw(axes)
    stream = io.BytesIO()
    figure.savefig(stream)
    return Image.open(stream).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


@cache
def digits() -> tuple[ImageDataset, ImageDataset]:
    return load_digits()


@cache
def trained() -> tuple[LeakyMLP, History]:
    """Return a small network and the history of its training."""
    torch.manual_seed(0)
    model, train = LeakyMLP(hidden=(60,)), digits()[0]
    options: dict[str, Any] = {"validation": 0.2, "epochs": 8, "lr": 5e-3, "device": "cpu"}
    history = fit(model, train[:2000], encoder=ENCODER, progress=False, **options)
    return model.eval(), history


def record(model: LeakyMLP) -> Record:
    """Return the activity of a network for one digit."""
    with torch.no_grad():
        found: Record = model(ENCODER(digits()[1].images[INDEX : INDEX + 1]), record="all")
    return found


def dots(ax: Axes, spikes: Tensor, colour: str, size: float = 14.0) -> None:
    """Draw a raster of spikes ``[T, N]``."""
    time, neuron = spikes.nonzero(as_tuple=True)
    ax.scatter(time, neuron, s=size, color=colour, linewidths=0)
    ax.set(xlim=(-0.7, len(spikes) - 0.3), ylim=(spikes.shape[1], -1))


def name_axes(ax: Axes, horizontal: str, vertical: str) -> None:
    ax.set_xlabel(horizontal, fontsize=FONT - 3)
    ax.set_ylabel(vertical, fontsize=FONT - 3)


def bare(*axes: Axes) -> None:
    for ax in axes:
        ax.set_axis_off()


def words(ax: Axes, *lines: tuple[str, str]) -> None:
    """Write lines of code, each in a colour."""
    bare(ax)
    for number, (text, colour) in enumerate(lines):
        height = 1 - (number + 0.5) / len(lines)
        ax.text(
            0.02,
            height,
            text,
            color=colour,
            fontsize=FONT,
            family="monospace",
            va="center",
            transform=ax.transAxes,
        )


def current(seed: int = 0, steps: int = 60) -> Tensor:
    """Return a noisy current ``[T, 1]`` that comes in bursts."""
    noise = torch.rand(steps, 1, generator=torch.Generator().manual_seed(seed))
    return 0.45 * noise * (torch.arange(steps).unsqueeze(1) % 20 < 14)


def membranes(ax: Axes, reset: ops.ResetMechanism, colour: str) -> None:
    """Draw the membrane of a neuron against its threshold, and mark its spikes."""
    spikes, membrane = ops.leaky(current().unsqueeze(1), 0.9, reset_mechanism=reset)
    ax.plot(membrane.flatten(), color=colour, linewidth=2.4)
    ax.axhline(1, color=GREY, linestyle="--", linewidth=1.6)
    time = spikes.flatten().nonzero().flatten()
    ax.plot(time, torch.full(time.shape, 1.6), "|", color=colour, markersize=15, markeredgewidth=3)
    ax.set_ylim(-0.1, 1.85)


@card("encodings", 2)
def encodings(axes: list[Axes]) -> None:
    image, raster = axes
    bare(image)
    digit = digits()[1].images[INDEX]
    image.imshow(digit, cmap="gray")
    dots(raster, ENCODER(digit.unsqueeze(0)).flatten(2)[:, 0], ORANGE, 9)
    raster.set_ylim(700, 90)


@card("neuron")
def neuron(axes: list[Axes]) -> None:
    membranes(axes[0], "subtract", BLUE)


@card("surrogate-gradients")
def surrogate_gradients(axes: list[Axes]) -> None:
    x = torch.linspace(-1.5, 1.5, 400)
    axes[0].plot(x, (x > 0).float(), color=GREY, linewidth=2.4)
    axes[0].plot(x, ops.ATan(alpha=2.0).derivative_(x.clone()), color=ORANGE, linewidth=3.2)


@card("training", 2)
def training(axes: list[Axes]) -> None:
    history = trained()[1]
    loss, accuracy = axes
    loss.plot(history.column("loss"), color=ORANGE, linewidth=3)
    accuracy.plot(history.column("accuracy"), color=ORANGE, linewidth=3)
    accuracy.plot(history.column("validation_accuracy"), color=BLUE, linewidth=3)
    loss.set_title("loss", fontsize=FONT)
    accuracy.set_title("accuracy", fontsize=FONT)


@card("raster")
def raster(axes: list[Axes]) -> None:
    dots(axes[0], record(trained()[0]).layers[0].spikes[:, 0], BLUE)


@card("readouts")
def readouts(axes: list[Axes]) -> None:
    found = record(trained()[0])
    scores = running_scores("mean_membrane", found.spikes, found.membrane)[:, 0]
    winner = int(found.predictions[0])
    axes[0].plot(np.delete(scores.numpy(), winner, 1), color=GREY, linewidth=1.6)
    axes[0].plot(scores[:, winner], color=ORANGE, linewidth=3.6)


@card("choices", 2)
def choices(axes: list[Axes]) -> None:
    resets: tuple[tuple[ops.ResetMechanism, str], ...] = (("subtract", BLUE), ("zero", GREEN))
    for ax, (reset, colour) in zip(axes, resets, strict=True):
        membranes(ax, reset, colour)
        ax.set_title(reset, fontsize=FONT)


@card("events", 3)
def events(axes: list[Axes]) -> None:
    image = digits()[1].images[INDEX].float() / 255
    for ax, (down, right) in zip(axes, ((1, 0), (0, 1), (-1, -1)), strict=True):
        bare(ax)
        change = image.roll((down, right), (0, 1)) - image
        picture = np.ones((28, 28, 3))
        picture[change.numpy() > 0.25] = (0.8, 0.2, 0.07)
        picture[change.numpy() < -0.25] = (0.0, 0.45, 0.7)
        ax.imshow(picture)


@card("local-learning")
def local_learning(axes: list[Axes]) -> None:
    train = digits()[0]
    classifier = STDPClassifier(30, random_state=0).fit(train.images[:2000], train.labels[:2000])
    fields = np.pad(
        classifier.weights_.reshape(-1, 28, 28)[::3],
        ((0, 0), (1, 1), (1, 1)),
        constant_values=np.nan,
    )
    bare(axes[0])
    axes[0].imshow(np.block([list(fields[:5]), list(fields[5:])]), cmap="magma")


@card("energy")
def energy(axes: list[Axes]) -> None:
    found = measure_energy(trained()[0], digits()[1], encoder=ENCODER)
    bars = {"SNN": found.snn, "ANN, zeros skipped": found.ann_skipping, "ANN": found.ann_dense}
    for height, (name, estimate) in enumerate(bars.items()):
        bar = axes[0].barh(height, estimate.total, color=ORANGE if height == 0 else GREY)
        axes[0].bar_label(bar, [name], fontsize=FONT, padding=6)
    axes[0].set(xlim=(0, 1.3 * found.ann_dense.total), ylim=(2.6, -0.6))


@card("engine")
def engine(axes: list[Axes]) -> None:
    results = json.loads((DOCS / "benchmarks" / "results.json").read_text(encoding="utf-8"))
    for name, colour, label in (
        ("snnTorch", GREY, "snnTorch"),
        ("spikemnist auto", ORANGE, "spikemnist"),
    ):
        (sweep,) = (
            one
            for one in results["growth"]
            if (one["candidate"], one["code"], one["axis"]) == (name, "latency", "num_steps")
        )
        axes[0].loglog(sweep["sizes"], sweep["seconds"], "o-", color=colour, linewidth=3)
        place = (sweep["sizes"][1], 1.6 * sweep["seconds"][1])
        axes[0].annotate(label, place, color=colour, fontsize=FONT, ha="center")
    axes[0].set(xlim=(7, 115), ylim=(3e-3, 1.2), xticks=[], yticks=[])
    axes[0].minorticks_off()
    name_axes(axes[0], "timesteps", "time")


@card("gpu")
def gpu(axes: list[Axes]) -> None:
    ax = axes[0]
    bare(ax)
    for step in range(12):
        ax.barh(1, 0.5, left=step, height=0.5, color=GREY)
    ax.barh(0, 11.5, height=0.5, color=ORANGE)
    ax.text(0, 1.42, "a loop: a launch for each operation", fontsize=FONT - 4, color="#555555")
    ax.text(0, 0.42, "one kernel for all timesteps", fontsize=FONT - 4, color=ORANGE)
    ax.set_ylim(-0.4, 1.8)


@card("from-snntorch")
def from_snntorch(axes: list[Axes]) -> None:
    words(
        axes[0],
        ("for step in range(T):", GREY),
        ("    spk, mem = lif(...)", GREY),
        ("record = model(spikes)", ORANGE),
    )


@card("snntorch-network")
def snntorch_network(axes: list[Axes]) -> None:
    words(
        axes[0],
        ("nn.Sequential(", GREY),
        ("    nn.Linear, snn.Leaky)", GREY),
        ("accelerate(network)", ORANGE),
    )


@card("custom-encoder", 2)
def custom_encoder(axes: list[Axes]) -> None:
    random = torch.Generator().manual_seed(0)
    digit = digits()[1].images[INDEX].float() / 255
    (pixel,) = (digit.flatten() > ENCODER.threshold).nonzero(as_tuple=True)
    times = ENCODER.spike_times(digit).flatten()[pixel]
    for ax, jitter in zip(axes, (0.0, 1.0), strict=True):
        shifted = times + jitter * torch.randn(times.shape, generator=random)
        ax.scatter(shifted, pixel, s=9, color=BLUE, linewidths=0)
        ax.set(ylim=(700, 90), xlim=(-3, 18))


@card("own-picture", 2)
def own_picture(axes: list[Axes]) -> None:
    light = np.linspace(245, 150, 240).astype(np.uint8)
    picture = Image.fromarray(np.broadcast_to(light[None, :, None], (240, 240, 3)).copy())
    stroke = [(78, 65), (98, 38), (130, 32), (156, 52), (150, 82), (116, 104), (152, 124)]
    stroke += [(164, 158), (144, 190), (108, 200), (78, 182)]
    ImageDraw.Draw(picture).line(stroke, fill=(40, 60, 130), width=13, joint="curve")
    bare(*axes)
    axes[0].imshow(picture)
    axes[1].imshow(prepare_image(picture), cmap="gray")


@card("own-dataset", 3)
def own_dataset(axes: list[Axes]) -> None:
    row, column = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    noise = 0.3 * torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    kinds = {"lies": row - 8, "stands": column - 7, "leans": row - column}
    for ax, (name, distance), grey in zip(axes, kinds.items(), noise, strict=True):
        bare(ax)
        ax.imshow(((distance.abs() < 2) + grey).clamp(0, 1), cmap="gray")
        ax.set_title(name, fontsize=FONT)


@card("own-loss")
def own_loss(axes: list[Axes]) -> None:
    x = torch.linspace(-2, 2, 100)
    axes[0].plot(x, (0.5 - x).clamp(min=0), color=ORANGE, linewidth=3.4)
    axes[0].axvline(0.5, color=GREY, linestyle="--", linewidth=1.6)
    axes[0].text(0.55, 1.6, " margin", fontsize=FONT)
    name_axes(axes[0], "score of the right class", "loss")


@card("resume")
def resume(axes: list[Axes]) -> None:
    loss = trained()[1].column("loss")
    axes[0].plot(range(4), loss[:4], "o-", color=BLUE, linewidth=3)
    axes[0].plot(range(3, 8), loss[3:], "o-", color=ORANGE, linewidth=3)
    axes[0].axvline(3, color=GREY, linestyle="--", linewidth=1.6)
    axes[0].text(2.9, loss[0], "stopped ", fontsize=FONT, color=BLUE, ha="right", va="top")
    axes[0].text(3.1, loss[0], " resumed", fontsize=FONT, color=ORANGE, va="top")
    axes[0].set_ylim(None, 1.12 * loss[0])


@card("several-processes")
def several_processes(axes: list[Axes]) -> None:
    ax = axes[0]
    bare(ax)
    for place in range(16):
        image = digits()[1].images[place].numpy() / 255
        colour = np.array([(0, 114, 178), (213, 94, 0), (0, 158, 115), (140, 140, 140)][place // 4])
        tile = 1 - image[..., None] * (1 - colour / 255)
        x, y = place // 4 * 2.4 + place % 2, place % 4 // 2
        ax.imshow(tile, extent=(x, x + 0.95, y, y + 0.95))
    for process in range(4):
        ax.text(process * 2.4 + 1, 2.15, f"rank {process}", fontsize=FONT - 5, ha="center")
    ax.set(xlim=(-0.1, 9.3), ylim=(-0.1, 2.7))


@card("other-trainers")
def other_trainers(axes: list[Axes]) -> None:
    trials = []
    for lr in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2):
        torch.manual_seed(0)
        options: dict[str, Any] = {"epochs": 5, "lr": lr, "device": "cpu", "progress": False}
        train = digits()[0][:1000]
        history = fit(LeakyMLP(hidden=(60,)), train, encoder=ENCODER, **options)
        trials.append(history.column("loss"))
    for losses in trials:
        best = losses[-1] == min(trial[-1] for trial in trials)
        axes[0].plot(losses, "o-", color=ORANGE if best else GREY, linewidth=3.4 if best else 1.6)
    name_axes(axes[0], "epoch", "loss")


@card("choose-timesteps")
def choose_timesteps(axes: list[Axes]) -> None:
    found = evaluate(trained()[0], digits()[1], encoder=ENCODER)
    axes[0].plot(found.accuracy_per_step, "o-", color=GREEN, linewidth=3)
    name_axes(axes[0], "timestep", "accuracy")


@card("export")
def export(axes: list[Axes]) -> None:
    ax = axes[0]
    bare(ax)
    for place, (name, colour) in enumerate(
        (("web page", BLUE), ("NIR", GREEN), ("ONNX", GREY), ("C99", ORANGE))
    ):
        x, y = place % 2, 1 - place // 2
        ax.barh(y, 0.94, left=x, height=0.82, color=colour)
        ax.text(x + 0.47, y, name, fontsize=FONT + 2, color="white", ha="center", va="center")
    ax.set(xlim=(0, 1.94), ylim=(-0.45, 1.45))


@card("troubleshooting", 2)
def troubleshooting(axes: list[Axes]) -> None:
    model = trained()[0]
    silent = LeakyMLP(hidden=(60,), threshold=20.0)
    silent.load_state_dict(
        {key: value for key, value in model.state_dict().items() if "threshold" not in key},
        strict=False,
    )
    for ax, network, title, colour in (
        (axes[0], silent, "silent", RED),
        (axes[1], model, "healthy", GREEN),
    ):
        dots(ax, record(network).layers[0].spikes[:, 0], colour)
        ax.set_title(title, fontsize=FONT, color=colour)


@card("code")
def code(axes: list[Axes]) -> None:
    words(
        axes[0],
        ("train, test = load_digits()", BLUE),
        ("fit(model, train, ...)", ORANGE),
        ("evaluate(model, test, ...)", GREEN),
    )


@card("command-line")
def command_line(axes: list[Axes]) -> None:
    words(
        axes[0],
        ("$ spikemnist train", BLUE),
        ("$ spikemnist plot RUN", ORANGE),
        ("$ spikemnist predict RUN", GREEN),
    )


if __name__ == "__main__":
    main()

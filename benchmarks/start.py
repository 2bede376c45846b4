"""What learns with and without a start from data: depths, thresholds, betas and codes.

    python -m benchmarks.start

Each network is trained on 1,000 digits for 3 epochs, once as it is and once by
``TrainConfig(initial_rate=0.1)``, and tested on 1,000 others. The accuracies are written to
``start.json``, and drawn from this file if it is there already.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks import readme
from benchmarks.pictures import new_figure
from spikemnist import Classifier, LeakyMLP, TrainConfig, evaluate, fit, load_digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CODES = ("latency", "rate", "direct")
DEPTHS = (1, 2, 3, 4, 5, 6)
BETAS = (0.1, 0.9, 0.99)
THRESHOLDS = (0.1, 1.0, 10.0, 50.0)
RATES = (None, 0.1)
NEURONS = 128


def accuracy(code: str, depth: int, beta: float, threshold: float, rate: float | None) -> float:
    """Return the accuracy of a network of ``depth`` hidden layers on the test images."""
    train, test = load_digits()
    torch.set_num_threads(1)  # each process trains another network
    torch.manual_seed(0)
    network = LeakyMLP(hidden=(NEURONS,) * depth, beta=beta, threshold=threshold)
    classifier = Classifier(network, code)
    with warnings.catch_warnings():  # of silent layers, which are the subject
        warnings.simplefilter("ignore")
        fit(classifier, train[:1000], TrainConfig(epochs=3, initial_rate=rate), progress=False)
    return evaluate(classifier, test, progress=False).accuracy


def measure() -> list[dict[str, Any]]:
    """Return all settings with their accuracies."""
    names = ("code", "depth", "beta", "threshold", "rate")
    settings = list(itertools.product(CODES, DEPTHS, BETAS, THRESHOLDS, RATES))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        accuracies = pool.map(accuracy, *zip(*settings, strict=True))
        return [
            {**dict(zip(names, setting, strict=True)), "accuracy": reached}
            for setting, reached in zip(settings, accuracies, strict=True)
        ]


def draw(found: Sequence[dict[str, Any]]) -> Figure:
    """Draw a table of accuracies for each code, without the start and with it."""
    figure = new_figure(11, 8)
    axes = figure.subplots(len(CODES), len(RATES), sharex=True, sharey=True)
    for row, code in zip(axes, CODES, strict=True):
        for ax, rate in zip(row, RATES, strict=True):
            here = [one["accuracy"] for one in found if (one["code"], one["rate"]) == (code, rate)]
            draw_table(ax, [100 * share for share in here])
            start = f"initial rate {rate:g}" if rate else "weights as they are drawn"
            ax.set_title(f"{code} code, {start}: accuracy, %", fontsize=10)
        row[0].set_ylabel("hidden layers", fontsize=9)
    figure.supxlabel("threshold, at each beta", fontsize=9)
    return figure


def draw_table(ax: Axes, percent: Sequence[float]) -> None:
    """Draw the accuracies of all depths (rows), betas and thresholds (columns)."""
    columns = list(itertools.product(BETAS, THRESHOLDS))
    cells = np.reshape(percent, (len(DEPTHS), len(columns)))
    ax.imshow(cells, cmap="viridis", vmin=10, vmax=90, aspect="auto")
    for (y, row), x in itertools.product(enumerate(cells), range(len(columns))):
        colour = "white" if row[x] < 60 else "black"
        ax.text(x, y, f"{row[x]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    for edge in range(len(THRESHOLDS), len(columns), len(THRESHOLDS)):
        ax.axvline(edge - 0.5, color="white", linewidth=3)
    middle = len(THRESHOLDS) // 2  # of the columns of a beta
    labels = [
        f"{threshold:g}\n\n" + f"beta {beta:g}" * (threshold == THRESHOLDS[middle])
        for beta, threshold in columns
    ]
    ax.set_xticks(range(len(columns)), labels, fontsize=8)
    ax.set_yticks(range(len(DEPTHS)), [str(depth) for depth in DEPTHS], fontsize=8)


def main(folder: Path) -> None:
    """Measure if there are no results yet, and draw them."""
    file = folder / "start.json"
    if not file.exists():
        file.write_text(json.dumps(measure()), encoding="utf-8")
    draw(json.loads(file.read_text(encoding="utf-8"))).savefig(folder / "start.png", dpi=120)


if __name__ == "__main__":
    main(readme.PUBLISHED)

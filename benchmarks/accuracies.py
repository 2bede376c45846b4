"""The page of accuracies: our commands beside the published results of other projects.

``published.json`` has the results of others, each with its source. A stored measurement has the
accuracy and the spikes of one of our commands; its task and its parameters follow from the command.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import readouts
from benchmarks.commands import VOTES, VOTINGS, accuracy
from benchmarks.report import NOTHING, machine, scaled, table

PUBLISHED = Path(__file__).with_name("published.json")
BY_BACKPROPAGATION = (
    "MLP, images as they are",
    "MLP, augmented images",
    "MLP, few spikes; ours with augmented images",
    "Convolutions, images as they are",
    "Convolutions, augmented images",
    "Convolutions, one spike a neuron at most; ours with augmented images",
)
WITHOUT = (
    "Neurons that vote, by STDP",
    "Features by STDP, readout from labels",
    "Layers by local rules, with labels",
)
TASKS = (*BY_BACKPROPAGATION, *WITHOUT, "Other commands")
"""Groups of rows that can be compared, in the order of the page."""
SETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
HEADER = (
    *("Network", "Last, %", "Last tenth, %", "Best, %"),
    *("Runs", "Time", "Spikes", "Parameters"),
)
EPOCHS = re.compile(r"after the last of (\d+) epochs")
SPIKES = re.compile(r"^(?:spikes per (?:image|sample)|features appear)\s+([^;\n]*)", re.MULTILINE)
NUMBER = re.compile(r"(?<![\w.,])[\d,]+(?:\.\d+)?(?=$| cells)")
UNBROKEN = "\u00a0"
"""A space at which no line ends."""
ASSIGNED, _ = VOTINGS
REFERENCE, PAPER = "BindsNET", "Diehl and Cook"
AGAINST = "spikemnist stdp --data mnist --neurons 100"
"""Our command of the size that BindsNET's maintainers report."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A result, of this package or of another project.

    Attributes
    ----------
    data, task
        Data set, and one of `TASKS`.
    name
        Name of the other project; empty for this package.
    figure
        Accuracy in percent to sort by: of the first of the three kinds that is known.
    cells
        Cells of the table, as in `HEADER`.
    """

    data: str
    task: str
    name: str = ""
    figure: float
    cells: tuple[str, ...]


def lines(measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the parts of the page."""
    by_command = {one["command"]: list[dict[str, Any]]() for one in measured}
    for one in measured:
        by_command[one["command"]].append(one)
    others = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    rows = [
        *(ours(*item, number) for number, item in enumerate(by_command.items(), 1)),
        *map(published, others),
    ]
    yield from introduction(others)
    yield "## MNIST"
    yield groups(row for row in rows if row.data == "mnist" and row.task in BY_BACKPROPAGATION)
    yield "## MNIST, without backpropagation"
    yield groups(row for row in rows if row.data == "mnist" and row.task in WITHOUT)
    yield from votes(by_command, others)
    if AGAINST in by_command:
        yield reference(by_command[AGAINST], others)
    yield "## Fashion-MNIST"
    yield groups(row for row in rows if row.data == "fashion_mnist")
    if rest := [row for row in rows if row.data not in SETS]:
        yield "## Other commands"
        yield groups(rest)
    yield "## Where others are ahead"
    yield "\n".join(f"- {line}." for line in ahead(rows))
    yield from commands_of(by_command)
    yield "## Machines"
    yield from dict.fromkeys(machine(one["machine"]) for one in measured)


def introduction(others: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield what the columns mean."""
    flattery = [float(one["best"]) - float(one["tail"]) for one in others if "tail" in one]
    yield "# Accuracies"
    yield (
        "Accuracy on the 10,000 test images, after training on the 60,000 training images. Our "
        "rows have the number of [a command](#our-commands) that computes them again, with "
        "`--seed` 0, 1, 2 and so on. The other rows are other projects' and link to their "
        "sources. [The page of the data](../../docs/data.md) says how many labels are wrong."
    )
    yield (
        "- **Last** epoch: for ours the mean of the seeds ± their standard deviation, and in "
        "brackets the lowest and the highest seed. Which images are tested adds a standard error "
        "√(p(1-p)/n), for the 10,000 images 0.3 points at 90 % and 0.1 at 99 %. Another processor "
        "rounds otherwise, and training may end elsewhere: with seed 0, `spikemnist train --data "
        "fashion_mnist --recipe accurate` ended at 90.99 % on one by AMD with AVX-512. Torch sums "
        "the gradients of a convolution by threads: with seed 0, `spikemnist train --recipe sparse "
        "--data mnist --model conv` ended at 99.53 % on one thread, and at 99.40 % on two. "
        "Settings were chosen on training images that were held back.\n"
        "- **Last tenth**: the mean of the last tenth of the epochs, computed here from the log to "
        "which the row links, as the last epoch is.\n"
        "- **Best** epoch on the test images, or one that the source does not name. "
        f"In the {len(flattery)} logs the best epoch is {min(flattery):.1f} to "
        f"{max(flattery):.1f} points above the last tenth.\n"
        "- **Runs**: seeds x epochs.\n"
        "- **Time**: for ours from the start of the process to its end, pictures included, on two "
        "cores without a GPU: the median of the runs with nothing beside them.\n"
        "- **Spikes** of an image: input + all neurons; for STDP those of the neurons alone. The "
        "input of the direct code is a current.\n"
        "- **Parameters**: for others counted here from the notation of the network."
    )
    yield (
        "The best rows of a task come first, by the last tenth, else the last epoch, else the "
        "third kind. `python -m benchmarks --sections commands` writes this page; "
        "[the speeds](speeds.md) stand beside it."
    )


def groups(rows: Iterable[Row]) -> str:
    """Return a table with a heading for each task, best rows first."""
    rows = sorted(rows, key=lambda row: -row.figure)
    body: list[tuple[str, ...]] = []
    for task in TASKS:
        if here := [row.cells for row in rows if row.task == task]:
            body += [(f"**{task}**", *[""] * (len(HEADER) - 1)), *here]
    return table(HEADER, body)


def ahead(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the tasks in which others have a higher figure, and those without a row of ours."""
    absent = []
    best_first = sorted(rows, key=lambda row: -row.figure)
    for data, title in SETS.items():
        for task in TASKS:
            here = [row for row in best_first if (row.data, row.task) == (data, task)]
            best = next((row.figure for row in here if not row.name), None)
            if here and best is None:
                absent.append(f"{title}, {task}")
            elif best is not None and here[0].name:
                higher = [f"{row.name} {row.figure:g}" for row in here if row.figure > best]
                yield f"{title}, {task}: {', '.join(higher)}; ours {best:.2f}"
    absent.append("N-MNIST, whose full recordings were not at hand")
    yield f"No row of ours: {'; '.join(absent)}"


def published(entry: dict[str, Any]) -> Row:
    """Return the row of another project's result."""
    kinds = [entry.get(kind) for kind in ("tail", "last", "best")]
    tail, last, best = (kind or NOTHING for kind in kinds)
    what = f"[{entry['name']}]({entry['url']}): {entry['network']}"
    time = duration(3600 * entry["hours"]) if "hours" in entry else NOTHING
    cells = (
        f"{what} ({entry['note']})" if "note" in entry else what,
        *(last, tail, best),
        runs(*(str(entry.get(key, NOTHING)) for key in ("seeds", "epochs"))),
        f"{time}, {entry['machine']}" if "machine" in entry else time,
        entry.get("spikes", NOTHING),
        scaled(entry["parameters"]) if "parameters" in entry else NOTHING,
    )
    figure = next(float(kind) for kind in kinds if kind)
    return Row(
        data=entry["data"], task=entry["task"], name=entry["name"], figure=figure, cells=cells
    )


def runs(seeds: str, epochs: str) -> str:
    """Return the numbers of seeds and epochs as one cell."""
    if seeds == epochs == NOTHING:
        return NOTHING
    return UNBROKEN.join((seeds, "x", epochs))


def ours(line: str, here: Sequence[dict[str, Any]], number: int = 1) -> Row:
    """Return the row of a command, with its number on the page, from its measurements."""
    each = [accuracy(one) for one in here]
    mean = statistics.mean(each)
    printed = here[0]["printed"]
    spread = f" ±{UNBROKEN}{statistics.stdev(each):.2f}" if len(each) > 1 else ""
    quiet = [one["seconds"] for one in here if not one.get("busy")]
    alone = f"{len(quiet)} run{'s' * (len(quiet) > 1)}"
    setup = described(line)
    cells = (
        f"**Ours ({number})**: {setup.network}",
        f"{mean:.2f}{spread}{between(each)}",
        *(NOTHING, NOTHING),
        runs(str(len(here)), next(iter(EPOCHS.findall(printed)), setup.epochs)),
        f"{duration(statistics.median(quiet))} ({alone})" if quiet else "busy",
        spikes(here, current=setup.current),
        scaled(setup.parameters) if setup.parameters else NOTHING,
    )
    return Row(data=setup.data, task=setup.task, figure=mean, cells=cells)


def summary(line: str, here: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Return the accuracy and the time of a command, as in its row."""
    last, time = (ours(line, here).cells[HEADER.index(name)] for name in ("Last, %", "Time"))
    return last.replace(UNBROKEN, " "), time


def between(figures: Sequence[float]) -> str:
    """Return the lowest and the highest figure of several seeds, in brackets.

    Examples
    --------
    >>> between([98.2, 98.29, 98.27]), between([98.2])
    (' (98.20 to 98.29)', '')
    """
    return f" ({min(figures):.2f} to {max(figures):.2f})" if len(figures) > 1 else ""


class Setup(NamedTuple):
    """What a command trains: data set, task, network, epochs, parameters, kind of input."""

    data: str = ""
    task: str = TASKS[-1]
    network: str = "not described"
    epochs: str = NOTHING
    parameters: int = 0
    current: bool = False


def described(line: str) -> Setup:
    """Return what a command of this package trains."""
    program, *words = shlex.split(line)
    if words[:2] == ["-m", readouts.__name__]:
        return _readout(words[2])
    if program != "spikemnist":
        return Setup()
    from spikemnist.cli import parser

    name, *options = words
    module = importlib.import_module(f"spikemnist.cli.{name}")
    command = parser.parse(name, module, options)
    if name == "stdp":
        return _stdp(command)
    recipe = module.recipe_of(command)
    plain, augmented, few, *convolutions, once = BY_BACKPROPAGATION
    task = (plain, augmented)[bool(command.augment)]
    if command.model == "conv":
        task = once if command.num_steps == 1 else convolutions[bool(command.augment)]
    elif command.spike_penalty:
        task = few
    network = recipe.classifier().network
    sizes = "-".join(map(str, (784, *network.sizes.values())))
    notation = network.config["layers"] if command.model == "conv" else sizes
    return Setup(
        command.data,
        task,
        f"{notation}, {command.encoder} code, T={command.num_steps}",
        str(command.epochs),
        sum(weight.numel() for weight in network.parameters()),
        current=command.encoder == "direct",
    )


def _stdp(command: Any) -> Setup:
    voting, features, _ = WITHOUT
    count = command.features
    if count is None:
        network = f"{command.neurons} neurons, rate code, T=350"
        weights = 784 * command.neurons
        return Setup(command.data, voting, network, str(command.passes), weights)
    # A feature sees 5 x 5 pixels of two contrasts; 10 classes read it in 6 x 6 cells.
    weights = (2 * 5 * 5 + 10 * 6 * 6) * count + 10
    network = f"one layer of {count} features, linear readout"
    return Setup(command.data, features, network, "1", weights)


def _readout(name: str) -> Setup:
    voting, features, _ = WITHOUT
    kernels = 2 * 5 * 5 * 64
    if name == "votes":  # the neurons see 4 x 4 cells
        weights = kernels + 4 * 4 * 64 * 1600
        return Setup("mnist", voting, "64 features by STDP, then 1600 neurons", "3", weights)
    return Setup("mnist", features, "one layer of 64 features, PCA, RBF-SVM", "1")


def spikes(here: Sequence[dict[str, Any]], *, current: bool = False) -> str:
    """Return the spikes of an image, the mean of the seeds: those of the input + of all neurons."""
    found = [part for one in here for part in SPIKES.findall(one["printed"])]
    counts = {True: 0.0, False: 0.0}
    for layer in (layer for part in found for layer in part.split(", ")):
        for number in NUMBER.findall(layer):  # none where the input is a current
            counts[layer.startswith("input")] += float(number.replace(",", "")) / len(found)
    received = "a current" if current else f"{counts[True]:.0f}" if counts[True] else ""
    neurons = f"{counts[False]:.0f}" if found else NOTHING
    return f"{received} + {neurons}" if received else neurons


def duration(seconds: float) -> str:
    """Return seconds formatted as seconds, minutes or hours.

    Examples
    --------
    >>> [duration(seconds) for seconds in (8.7, 1594.6, 28_080.0, 133_920.0)]
    ['9 s', '27 min', '7.8 h', '37 h']
    """
    if seconds >= 7200:
        return f"{seconds / 3600:.0f} h" if seconds >= 36_000 else f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def reference(here: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> str:
    """Return a paragraph on BindsNET's time for its reference and on ours."""
    (theirs,) = (one for one in others if one["name"] == REFERENCE)
    row = ours(AGAINST, here)
    time = row.cells[HEADER.index("Time")]
    return (
        f"BindsNET's maintainers [report]({theirs['url']}) 81 to {theirs['last']} % for their "
        "example with 100 neurons, and about "
        f"{theirs['hours']} hours on an {theirs['machine']}. `{AGAINST}` takes {time} on two CPU "
        f"cores and reaches {row.figure:.1f} %. What differs: theirs is their figure on their "
        "machine, with seed 0; theirs learns from 20,000 images and ours from all 60,000; an image "
        "lasts 250 timesteps there and 350 here; and here the inhibitory neurons are left out and "
        "the constants are others. [The speeds](speeds.md) have both on one machine, image by "
        "image, and [the guide](../../docs/guide/local-learning.md) explains the network."
    )


def votes(
    by_command: dict[str, list[dict[str, Any]]], others: Sequence[dict[str, Any]]
) -> Iterator[str]:
    """Yield the accuracies of neurons by each vote, beside those of the paper."""
    paper = {one["network"].split()[0]: one["best"] for one in others if one["name"] == PAPER}
    rows = []
    for line, here in by_command.items():
        printed = [dict(VOTES.findall(one["printed"])) for one in here]
        if all(printed):
            neurons, passes = described(line).network.split()[0], described(line).epochs
            each = ([float(one[vote]) for one in printed] for vote in VOTINGS)
            cells = (f"{statistics.mean(figures):.2f}{between(figures)}" for figures in each)
            time = summary(line, here)[1]
            rows.append((neurons, passes, paper.get(neurons, NOTHING), *cells, time))
    if rows:
        yield "Neurons that vote, in percent: the mean, in brackets the lowest and highest seed."
        yield table(("Neurons", "Passes", PAPER, *VOTINGS, "Time"), rows)


def commands_of(by_command: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield the commands of our rows with the accuracy of each seed."""
    yield "## Our commands"
    yield (
        "Accuracy in percent with each seed. Where neurons vote it is that of the vote "
        "`proportional`, the default; Diehl and Cook's vote is `assigned`."
    )
    rows = []
    for number, (line, here) in enumerate(by_command.items(), 1):
        votes = [dict(VOTES.findall(one["printed"])) for one in here]
        each = ", ".join(f"{accuracy(one):.2f}" for one in here)
        assigned = ", ".join(vote[ASSIGNED] for vote in votes) if all(votes) else NOTHING
        rows.append((str(number), f"`{line}`", each, assigned))
    yield table(("", "Command", "Accuracy, %", f"Vote `{ASSIGNED}`, %"), rows)

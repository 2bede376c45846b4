"""The results in the README, written between two comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import accuracies
from benchmarks.report import NOTE, range_table, table

ROOT = Path(__file__).resolve().parents[1]
README, PUBLISHED = ROOT / "README.md", ROOT / "docs" / "benchmarks"
PAGES = Path(__file__).with_name("results")
"""Folder of the pages of `PUBLISHED` results, which the docs do not show as a whole."""
BEGIN, END = "<!-- Written by python -m benchmarks: begin -->", "<!-- end -->"
COMMANDS = (
    "spikemnist train --recipe fast --data mnist",
    "spikemnist train --recipe accurate --data mnist",
    "spikemnist train --recipe accurate --data mnist --model conv",
    "spikemnist train --data fashion_mnist --recipe accurate",
    "spikemnist train --data fashion_mnist --recipe accurate --model conv",
)
PEERS = ("snnTorch", "SpikingJelly", "Norse", "Sinabs")


def written(text: str, results: dict[str, Any]) -> str:
    """Return the text of the README with these results between the comments."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n\n".join((before + BEGIN, *lines(results), END + after))


def lines(results: dict[str, Any]) -> Iterator[str]:
    """Yield accuracies and times of commands, and the ranges of the ratios to the fastest peer."""
    machine = results["runs"]["networks"]["machine"]
    versions = {name: ".".join(v.split(".")[:2]) for name, v in machine["packages"].items()}
    rows = {
        command: [one for one in results["commands"] if one["command"] == command]
        for command in COMMANDS
    }
    machines = [machine, *(one["machine"] for here in rows.values() for one in here)]
    where = {"{cores} cores ({processor}, {vector})".format_map(one) for one in machines}
    seeds = {str(len(here)) for here in rows.values()}
    yield paragraph(
        f"Accuracy on the 10,000 test images: the mean of {' or '.join(sorted(seeds))} seeds ± "
        "their standard deviation, the lowest and the highest seed, and the time on "
        f"{' or '.join(sorted(where))}, PyTorch {versions['torch']} and snnTorch "
        f"{versions['snntorch']}: the median of the runs with nothing beside them."
    )
    yield table(
        ("Command", "Accuracy, %", "Time"),
        [(f"`{command}`", *accuracies.summary(command, here)) for command, here in rows.items()],
    )
    *several, last = (f"{name} {versions[name.lower()]}" for name in PEERS)
    yield paragraph(
        f"Times as fast there as the fastest of {', '.join(several)} and {last}: the lowest and "
        "the highest ratio of each kind of networks."
    )
    yield range_table(results)
    yield paragraph(NOTE)


def paragraph(text: str) -> str:
    """Return a text in lines of at most 120 characters."""
    return textwrap.fill(text, 120, break_on_hyphens=False, break_long_words=False)

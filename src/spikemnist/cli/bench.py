"""``spikemnist bench``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import spikemnist
from spikemnist.cli.output import Block, say, show

if TYPE_CHECKING:
    from spikemnist.cli.parser import Command, Options

SUMMARY = "Time training and inference beside snnTorch's loop over time."
EXAMPLES = """
spikemnist bench
spikemnist bench --quick --json
"""

CODES = ("rate", "latency", "direct")
SECONDS, QUICK_SECONDS = 0.8, 0.1
"""Seconds of a turn. A function that takes longer is called once, after an untimed call."""


def add_options(add: Options) -> None:
    """Add the options."""
    add("--quick", "fewer calls: half a minute instead of a minute", False)


def run(command: Command) -> int:
    """Time a training step and inference, and print medians and ratios."""
    import torch

    from spikemnist._progress import progress_bar
    from spikemnist.cli import snntorch_loop as loop

    network = f"784-{loop.HIDDEN}-10, {loop.NUM_STEPS} timesteps, batch {loop.BATCH}, with encoding"
    lines = [f"{'median milliseconds':32}{'spikemnist':>12}{'snnTorch':>12}{'ratio':>8}"]
    rows, seconds = [], QUICK_SECONDS if command.quick else SECONDS
    pairs = list(itertools.product(spikemnist.training.available_devices(), CODES))
    with progress_bar(progress=True, total=2 * len(pairs), desc="timing", leave=False) as bar:
        for device, code in pairs:
            ours, theirs = loop.networks(code, device)
            for stage in ours:
                row = {"device": device, "code": code, "stage": stage}
                rows.append({**row, **loop.time_in_turn(ours[stage], theirs[stage], seconds)})
                lines.append("{:6}{:9}{:17}{:12.2f}{:12.2f}{:8.1f}".format(*rows[-1].values()))
                bar.update()
    table = Block("\n".join(lines), rows)
    show(command, network=network, threads=torch.get_num_threads(), milliseconds=table)
    say(command, "other programs slow a loop over time most: run nothing else meanwhile")
    return 0

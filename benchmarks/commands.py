"""Accuracy and duration of commands on the command line.

Each command runs once per seed in an empty folder, and is timed from the start of its process to
the end. Its whole output is stored.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe_machine
from benchmarks.timing import others_took

if TYPE_CHECKING:
    from benchmarks.plan import Plan

ACCURACY = re.compile(r"accuracy\s+([\d.]+) ?%")
ROOT = Path(__file__).resolve().parents[1]
STAT = Path("/proc/stat")
"""File in which Linux counts processor time."""
VOTINGS = ("assigned", "proportional")
VOTES = re.compile(rf"({'|'.join(VOTINGS)}) ([\d.]+)%")


def items(plan: Plan) -> list[tuple[str, int]]:
    """Return each command with each seed."""
    return [
        (command, seed)
        for command in plan.commands
        for seed in plan.seeds or ((0, 1, 2) if " train " in command else (0, 1, 2, 3, 4))
    ]


def measure(item: tuple[str, int]) -> dict[str, Any]:
    """Run a command with a seed and time it from start to end.

    Parameters
    ----------
    item : tuple of str and int
        A command line, for example ``spikemnist train --data mnist``, and a seed. No shell is
        started.

    Returns
    -------
    dict
        Command, seed, seconds, standard output, machine, and whether other programs ran at the same
        time.

    Raises
    ------
    RuntimeError
        When the command fails, with the end of its standard error.
    """
    command, seed = item
    whole = f"{command} --seed {seed}"
    # Windows accepts a command as one string, and splitting would remove backslashes from paths.
    words = whole if sys.platform == "win32" else shlex.split(whole)
    ours = command.startswith("python -m benchmarks.")  # found in the checkout, and writes nothing
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        started, before = time.perf_counter(), _work_of_others()
        done = subprocess.run(
            words,
            cwd=ROOT if ours else folder,
            env={**os.environ, "PYTHONUTF8": "1"},  # else Windows prints in its own code page
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        seconds = time.perf_counter() - started
        others = (_work_of_others() - before) / (seconds * (os.cpu_count() or 1))
    if done.returncode:
        raise RuntimeError(f"{whole!r} ended with {done.returncode}: {done.stderr[-500:]}")
    found = {"command": command, "seed": seed, "seconds": seconds, "printed": done.stdout}
    # What others did during the command, or where it is not counted, at its start.
    share = 1 - others if STAT.exists() else machine["share"]
    return {**found, "busy": others_took(share), "machine": machine}


def _work_of_others() -> float:
    """Return the processor seconds of Linux, without the children of this process.

    Zero on other systems, which rely on the share of the processors at the start of a command.
    """
    if not STAT.exists():
        return 0.0
    user, nice, system, _, _, *interrupts = map(int, STAT.read_text().splitlines()[0].split()[1:9])
    ticks = user + nice + system + sum(interrupts)  # includes time stolen from a virtual machine
    own = os.times()
    return ticks / os.sysconf("SC_CLK_TCK") - own.children_user - own.children_system


def accuracy(found: dict[str, Any]) -> float:
    """Return the last accuracy that a command printed, in percent; NaN if it printed none."""
    printed = ACCURACY.findall(found["printed"])
    return float(printed[-1]) if printed else float("nan")


def merge(earlier: Sequence[dict[str, Any]], found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results, with ``found`` in place of older results of its command and seed."""
    same = ("command", "seed")
    others = [one for one in earlier if any(one[key] != found[key] for key in same)]
    return sorted([*others, found], key=lambda one: (in_order(one["command"]), one["seed"]))


def in_order(command: str) -> list[tuple[int, str]]:
    """Return a sort key for commands that compares numbers by value."""
    parts = re.split(r"(\d+)", command)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

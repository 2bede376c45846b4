"""SIGKILL of a real training at random instants, and two runs that claim the same folder."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import safetensors.numpy

from benchmarks.attacks.attack import Attack

if TYPE_CHECKING:
    import random
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

LIMIT = 240
RUNS = {
    "mlp": ["train", "--hidden", "8", "--epochs", "3", "--num-steps", "3", "--batch-size", "500"],
    "rate": [
        *("train", "--hidden", "8", "--epochs", "3", "--num-steps", "3", "--batch-size", "500"),
        *("--encoder", "rate"),
    ],
    "stdp": ["stdp", "--neurons", "10"],
}
"""Command lines by name."""
PAIRS = 20
"""Number of folders claimed in a case."""


def undisturbed(folder: Path) -> dict[str, Any]:
    """Run each command line to its end, and return its duration and results."""
    material = {}
    for name, words in RUNS.items():
        started = time.monotonic()
        process = _start(words, folder / name)
        process.wait(LIMIT)
        if process.returncode:
            raise RuntimeError(f"the undisturbed run {name} ended with {process.returncode}")
        material[name] = time.monotonic() - started, _results(folder / name)
    return material


def _start(words: list[str], out: Path, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "spikemnist", *words, "--out", str(out), *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _results(run: Path) -> dict[str, Any]:
    tensors = safetensors.numpy.load_file(run / "model.safetensors")
    contents: dict[str, Any] = {name: array.tobytes() for name, array in tensors.items()}
    contents["metrics"] = (run / "metrics.csv").read_text(encoding="utf-8")
    return contents


def kill_case(material: dict[str, Any], draw: random.Random, folder: Path) -> str | None:
    """Kill a run once or twice, resume it to its end, and compare the results bit by bit."""
    name = draw.choice(sorted(RUNS))
    seconds, expected = material[name]
    out = folder / "run"
    for _ in range(draw.choice((1, 2))):
        process = _start(RUNS[name], out, *_resume(out))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, seconds))
        process.kill()
        process.wait()
    process = _start(RUNS[name], out, *_resume(out))
    if process.wait(LIMIT):
        return f"{name}: the resumed run ended with exit code {process.returncode}"
    found = _results(out)
    wrong = sorted(key for key in expected if found.get(key) != expected[key])
    if wrong:
        return f"{name}: other bits after kill and resume: {', '.join(wrong)}"
    left = sorted(path.name for path in out.iterdir() if path.name.startswith("."))
    return f"{name}: temporary files are left: {', '.join(left)}" if left else None


def _resume(out: Path) -> list[str]:
    return ["--resume"] if (out / "config.json").exists() else []


def import_runs(folder: Path) -> None:
    """Import the modules that claims need, so that forked children have them."""
    del folder
    import spikemnist.cli.options
    import spikemnist.cli.runs  # noqa: F401


def pair_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Let two processes claim folders at the same instants, with or without a name."""
    del material
    named = draw.random() < 0.5
    methods = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    barrier, queue = context.Barrier(2), context.SimpleQueue()
    children = [
        context.Process(target=_claim, args=(named, str(folder), barrier, queue)) for _ in range(2)
    ]
    for child in children:
        child.start()
    claims = [queue.get() for _ in children]
    for child in children:
        child.join()
    first, second = (set(claim) for claim in claims)
    if both := first & second:
        return f"{len(both)} of {PAIRS} folders were given to two runs, {_how(named)}"
    if named and len(first | second) < PAIRS:
        return f"{PAIRS - len(first | second)} of {PAIRS} folders were given to no run"
    if not named and min(len(first), len(second)) < PAIRS:
        return "a run without --out got no folder"
    return None


def _how(named: bool) -> str:
    return "with --out" if named else "without --out"


def _claim(named: bool, folder: str, barrier: Barrier, queue: SimpleQueue[list[str]]) -> None:
    from pathlib import Path

    from spikemnist.cli.errors import WrongRequest
    from spikemnist.cli.options import Train
    from spikemnist.cli.runs import new_run

    os.chdir(folder)
    claimed = []
    for number in range(PAIRS):
        barrier.wait(30)
        with contextlib.suppress(WrongRequest, OSError):
            claimed.append(str(new_run(Train(out=Path(f"run-{number}") if named else None))))
    queue.put(claimed)


ATTACKS = (
    Attack(
        name="kill",
        expectation="A killed run, resumed, ends with the same bits and leaves no litter.",
        prepare=undisturbed,
        case=kill_case,
        limit=4.0 * LIMIT,
    ),
    Attack(
        name="pair",
        expectation="Of two runs that claim a folder at the same instant, one gets it.",
        prepare=import_runs,
        case=pair_case,
    ),
)

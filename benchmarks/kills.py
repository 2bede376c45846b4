"""Kill and interrupt the command line at random instants, from the first one on.

    python -m benchmarks.kills --kills 300 --interrupts 300

After SIGKILL every file of the run folder is whole, and a run of `train`, resumed or started again,
ends with the same files as one that was never killed. After SIGINT the command ends with exit code
130, one sentence and no traceback, and its files are whole. A signal that arrives before Python
runs the program, or after the results are printed, is counted apart. Each failure is printed with
its moment. Two commands run at a time; 300 of each signal take some 25 minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import safetensors.numpy
from PIL import Image

from spikemnist.training.checkpoint import load_checkpoint

TRAIN = ["train", "--hidden", "8", "--num-steps", "3", "--batch-size", "500", "--epochs"]
WRITING = {
    "train": [*TRAIN, "3"],
    "rate": [*TRAIN, "2", "--encoder", "rate", "--validation", "0.1"],
    "stdp": ["stdp", "--neurons", "10", "--passes", "3"],
}
"""Commands that write a run folder, by name."""
READING = {"evaluate": ["evaluate", "train"], "encode": ["encode"], "help": ["train", "--help"]}
"""Commands that write nothing; ``train`` is the undisturbed run of that name."""
COMMANDS = {**WRITING, **READING}
RESULTS = ("model.safetensors", "metrics.csv")
LIMIT = 300.0
INTERRUPTED = (130, -signal.SIGINT)
"""A shell reports both as 130. Python ends by the signal if it met an `exec`, as in an import."""
SOON = 0.5
"""Seconds from the start in which a third of the signals arrive."""


class Ended(NamedTuple):
    """How a command has ended, and what it has printed."""

    code: int
    seconds: float
    printed: str


class Trial(NamedTuple):
    """One signal: the command that it meets, its moment in seconds, and the folder of the run."""

    command: str
    signal: signal.Signals
    moment: float
    out: Path


def run(words: list[str], folder: Path, sent: Trial | None = None) -> Ended:
    """Run a command in a folder, and send it a signal if one is given."""
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "spikemnist", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            printed, _ = process.communicate(timeout=sent.moment if sent else LIMIT)
        except subprocess.TimeoutExpired:
            process.send_signal(sent.signal if sent else signal.SIGKILL)
            started = time.monotonic()
            printed, _ = process.communicate(timeout=LIMIT)
    return Ended(process.returncode, time.monotonic() - started, printed)


def words_of(name: str, out: Path, *, resume: bool = False) -> list[str]:
    """Return the words of a command that writes into the folder ``out``."""
    words = COMMANDS[name] if name in READING else [*COMMANDS[name], "--out", str(out)]
    return [*words, "--resume"] if resume else words


def not_whole(out: Path) -> str | None:
    """Return the first file of a run folder that cannot be read, or None."""
    readers: dict[str, Callable[[Path], object]] = {
        ".json": lambda file: json.loads(file.read_text(encoding="utf-8")),
        ".pt": load_checkpoint,
        ".safetensors": safetensors.numpy.load_file,
        ".png": lambda file: Image.open(file).load(),
        ".csv": lambda file: file.read_text(encoding="utf-8").splitlines()[0],
    }
    for file in sorted(out.glob("[!.]*")):
        try:
            readers[file.suffix](file)
        except Exception as error:
            return f"{file.name}: {type(error).__name__}: {error}"
    return None


def other_results(out: Path, undisturbed: Path) -> str | None:
    """Return the first result that differs from that of an undisturbed run, or None."""
    for name in RESULTS:
        expected = undisturbed / name
        if expected.exists() and (out / name).read_bytes() != expected.read_bytes():
            return f"{name} differs"
    return None


def kill(trial: Trial, folder: Path) -> str:
    """Kill a run, and resume it if it can be; return the outcome."""
    ended = run(words_of(trial.command, trial.out), folder, trial)
    if ended.code != -signal.SIGKILL:
        return "late" if ended.code == 0 else f"exit code {ended.code}: {ended.printed}"
    for file in trial.out.glob("*.json"):
        if not file.stat().st_size:  # killed as it was made: the message of the next run says so
            file.unlink()
    if wrong := not_whole(trial.out):
        return wrong
    if trial.command == "stdp":  # its model is that of the last whole pass, and it has no --resume
        return "held"
    resume = (trial.out / "config.json").exists()
    again = run(words_of(trial.command, trial.out, resume=resume), folder)
    if again.code:
        return f"resumed, exit code {again.code}: {again.printed}"
    wrong = other_results(trial.out, folder / trial.command) or not_whole(trial.out)
    return f"resumed, {wrong}" if wrong else "held"


def interrupt(trial: Trial, folder: Path) -> str:
    """Interrupt a command; return the outcome."""
    ended = run(words_of(trial.command, trial.out), folder, trial)
    if ended.code == 0:  # it was done, and Python only had to end
        return other_results(trial.out, folder / trial.command) or "late"
    started = re.search(r'cli.__init__.py", line \d+, in (program|main)\n', ended.printed)
    python_alone = not ended.printed or "KeyboardInterrupt" in ended.printed
    if python_alone and not started and not trial.out.exists():
        return "early"  # Python was starting
    one_sentence = ended.printed.count("interrupted") == 1
    unclean = "Traceback" in ended.printed or "ignored" in ended.printed
    if ended.code not in INTERRUPTED or not one_sentence or unclean:
        return f"exit code {ended.code} after {ended.seconds:.1f} s: {ended.printed[-1000:]}"
    return not_whole(trial.out) or "held"


def trials(
    kind: signal.Signals, count: int, seconds: dict[str, float], folder: Path
) -> list[Trial]:
    """Draw commands and moments."""
    drawn = []
    names = sorted(WRITING if kind == signal.SIGKILL else seconds)
    for number in range(count):
        name = random.choice(names)
        end = min(SOON, seconds[name]) if random.random() < 1 / 3 else seconds[name]
        out = folder / f"{kind.name}-{number}"
        drawn.append(Trial(name, kind, random.uniform(0, end), out))
    return drawn


def attack(kind: signal.Signals, count: int, seconds: dict[str, float], folder: Path) -> int:
    """Run the trials, print the counts and the failures, and return the number of failures."""
    drawn = trials(kind, count, seconds, folder)
    act = kill if kind == signal.SIGKILL else interrupt
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda trial: act(trial, folder), drawn))
    counts = {name: outcomes.count(name) for name in ("held", "early", "late")}
    failed = count - sum(counts.values())
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    print(f"{kind.name}: {count} tried, {told}, {failed} failed", flush=True)
    for trial, outcome in zip(drawn, outcomes, strict=True):
        if outcome not in counts:
            print(f"  {trial.command} at {trial.moment:.3f} s: {outcome.strip()}")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--interrupts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    random.seed(options.seed)
    # A process that is started with Ctrl-C ignored, as in the background, would pass that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        seconds = {}
        for command in COMMANDS:
            for out in (folder / f"{command}-cold", folder / command):  # the first compiles kernels
                ended = run(words_of(command, out), folder)
                if ended.code:
                    raise SystemExit(f"{command} ended with {ended.code}: {ended.printed}")
            seconds[command] = ended.seconds
        print(f"seed {options.seed}; seconds of a run: {seconds}", flush=True)
        failed = attack(signal.SIGKILL, options.kills, seconds, folder)
        failed += attack(signal.SIGINT, options.interrupts, seconds, folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

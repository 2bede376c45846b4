"""Unsupervised learning by STDP: time and memory, over neurons and over spikes.

Each point is measured in a process of its own: a classifier learns from some hundred digits, then
blocks of 64 images are timed, learning and responding. Memory is what the classifier and its
learning add to the largest resident set, kernels being compiled before. Where BindsNET is
installed, its network of Diehl and Cook, with 250 timesteps of 1 ms an image, is timed in turn with
ours of as many neurons and timesteps.

Shapes: ``N`` neurons.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import growth
from benchmarks.memory import peak, resident_before
from spikemnist.cli.timing import time_in_turn
from spikemnist.data import load_digits
from spikemnist.plasticity import STDPClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
AXES = {"neurons": "neurons", "spikes": "input spikes of an image"}
"""What is swept, and what pictures call it."""

QUANTITIES = {"learn": "learning", "respond": "responding", "bytes": "memory"}
BLOCK, BEFORE, RESPONDING = 64, 256, 256
BINDSNET = {"num_steps": 250, "neurons": 400}


def points(plan: Plan) -> list[dict[str, Any]]:
    """Return what to measure: over neurons, and over the rates of pixels."""
    repeats = plan.stdp_blocks
    return [
        *({"axis": "neurons", "neurons": n, "blocks": repeats} for n in plan.stdp_neurons),
        *({"axis": "spikes", "max_rate": r, "blocks": repeats} for r in plan.stdp_rates),
    ]


def measure(point: dict[str, Any]) -> dict[str, Any]:
    """Measure a point in a process of its own.

    Returns
    -------
    dict
        The point; seconds of learning from an image and of responding to one, medians; bytes; and
        the spikes of an image, in and out.
    """
    request = {**point, "threads": torch.get_num_threads()}
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.stdp", json.dumps(request)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return answer


def measured_here(request: dict[str, Any]) -> dict[str, Any]:
    """Measure a point in this process."""
    train, _ = load_digits()
    images, labels, classes = train.images, train.labels, list(range(10))
    compiled = STDPClassifier(BLOCK).partial_fit(images[:BLOCK], labels[:BLOCK], classes)
    compiled.count_spikes(images[:BLOCK])
    before = None if sys.platform == "win32" else resident_before()  # see `benchmarks.memory`
    # No image is presented again, or dim ones would take more spikes than they are said to have.
    options = {"max_rate": request["max_rate"], "min_spikes": 0} if "max_rate" in request else {}
    classifier = STDPClassifier(request.get("neurons", 400), **options)
    classifier.partial_fit(images[:BEFORE], labels[:BEFORE], classes)
    learning, responding = [], []
    for block in range(request["blocks"]):
        here = slice(BEFORE + BLOCK * block, BEFORE + BLOCK * (block + 1))
        learning.append(seconds(classifier.partial_fit, images[here], labels[here]))
        responding.append(seconds(classifier.count_spikes, images[:RESPONDING]))
    rate = classifier.max_rate * classifier.duration / 1000
    return {
        **request,
        "learn": statistics.median(learning) / BLOCK,
        "respond": statistics.median(responding) / RESPONDING,
        "bytes": None if before is None else max(peak() - before, 0),
        "spikes": float(images[:BEFORE].float().flatten(1).sum(1).mean()) / 255 * rate,
        "fired": float(classifier.count_spikes(images[:BEFORE]).sum(1).mean()),
        "bindsnet": against_bindsnet(request),
    }


def seconds(call: Callable[..., object], *arguments: Any) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def against_bindsnet(request: dict[str, Any]) -> dict[str, Any] | None:
    """Time an image of ours and one of BindsNET's, in turn; None where that is not installed."""
    if request.get("neurons") != BINDSNET["neurons"] or not importlib.util.find_spec("bindsnet"):
        return None
    from bindsnet.encoding import poisson
    from bindsnet.models import DiehlAndCook2015

    train, _ = load_digits()
    steps = BINDSNET["num_steps"]
    theirs = DiehlAndCook2015(n_inpt=784, n_neurons=BINDSNET["neurons"], inpt_shape=(1, 784))
    ours = STDPClassifier(BINDSNET["neurons"], duration=float(steps))
    ours.partial_fit(train.images[:BEFORE], train.labels[:BEFORE], list(range(10)))
    pixels = train.images[0].float().flatten() / 2  # as their example: at most 128 Hz

    def run_theirs() -> None:
        spikes = poisson(pixels, time=steps, dt=1.0).view(steps, 1, 1, 784)
        theirs.run(inputs={"X": spikes}, time=steps)
        theirs.reset_state_variables()

    jobs = {
        "theirs": run_theirs,
        "ours": lambda: ours.partial_fit(train.images[:BLOCK], train.labels[:BLOCK]),
    }
    timed = time_in_turn(jobs, repeats=9)
    return {
        "theirs": timed["theirs"]["median"],
        "ours": timed["ours"]["median"] / BLOCK,
        "busy": timed["theirs"]["busy"] or timed["ours"]["busy"],
    }


def fit(measured: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the exponents of time and memory along each axis with two points or more."""
    found = []
    for axis in AXES:
        here = [point for point in measured if point["axis"] == axis]
        sizes = [point[axis] for point in here]
        if len(here) > 1:
            powers = {name: _exponent(sizes, here, name) for name in QUANTITIES}
            found.append({"axis": axis, **powers})
    return found


def _exponent(
    sizes: Sequence[float], measured: Sequence[dict[str, Any]], quantity: str
) -> float | None:
    """Return the power with which a quantity grows, or None where it was not measured."""
    values = [point[quantity] for point in measured]
    return growth.exponent(sizes, values) if all(values) else None


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    print(json.dumps(measured_here(asked)))

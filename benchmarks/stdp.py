"""Measure time and memory of unsupervised learning by STDP, over neurons and over spikes.

Each point is measured in a new process. A classifier first learns from some hundred digits. Then
learning is timed on blocks of 64 images, and responding on the first images. Memory is the increase
of the peak resident set by the classifier and its learning, after the kernels are compiled. If
BindsNET is installed, its network of Diehl and Cook, with 250 timesteps of 1 ms per image, is timed
in turn with a classifier of this package with as many neurons and timesteps.

Shapes: ``N`` neurons.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import growth
from benchmarks.timing import time_in_turn
from spikemnist.data import load_digits
from spikemnist.plasticity import STDPClassifier

if TYPE_CHECKING:
    from benchmarks.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
AXES = {"neurons": "neurons", "spikes": "input spikes of an image"}
"""Swept quantities, and their labels in pictures."""

QUANTITIES = {"learn": "learning", "respond": "responding", "bytes": "memory"}
BLOCK, BEFORE, RESPONDING = 64, 256, 256
RESET_PEAK = "5"
BINDSNET = {"num_steps": 250, "neurons": 400}


def points(plan: Plan) -> list[dict[str, Any]]:
    """Return the points to measure: sweeps over neurons and over pixel rates."""
    repeats = plan.stdp_blocks
    return [
        *({"axis": "neurons", "neurons": n, "blocks": repeats} for n in plan.stdp_neurons),
        *({"axis": "spikes", "max_rate": r, "blocks": repeats} for r in plan.stdp_rates),
    ]


def measure(point: dict[str, Any]) -> dict[str, Any]:
    """Measure a point in a new process.

    Returns
    -------
    dict
        The point, the median seconds of learning and of responding per image, the bytes of memory,
        and the input and output spikes per image.
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
    before = resident_before()
    # Present each image only once: a repeated dim image would have more spikes than reported.
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
        "bytes": None if before is None else max(status("VmHWM") - before, 0),
        "spikes": float(images[:BEFORE].float().flatten(1).sum(1).mean()) / 255 * rate,
        "fired": float(classifier.count_spikes(images[:BEFORE]).sum(1).mean()),
        "bindsnet": against_bindsnet(request),
    }


def seconds(call: Callable[..., object], *arguments: Any) -> float:
    """Return the duration of a call in seconds."""
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def resident_before() -> int | None:
    """Return freed memory to Linux, reset the peak, and return the resident set.

    None on other systems, on which memory is not measured.
    """
    if sys.platform != "linux":
        return None
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc
        trim(0)
    Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    return status("VmRSS")


def status(field: str) -> int:
    """Return a field of ``/proc/self/status`` in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def against_bindsnet(request: dict[str, Any]) -> dict[str, Any] | None:
    """Time this package and BindsNET in turn on an image; None if BindsNET is not installed."""
    if request.get("neurons") != BINDSNET["neurons"] or not importlib.util.find_spec("bindsnet"):
        return None
    from bindsnet.encoding import poisson
    from bindsnet.models import DiehlAndCook2015

    train, _ = load_digits()
    steps = BINDSNET["num_steps"]
    theirs = DiehlAndCook2015(n_inpt=784, n_neurons=BINDSNET["neurons"], inpt_shape=(1, 784))
    ours = STDPClassifier(BINDSNET["neurons"], duration=float(steps))
    ours.partial_fit(train.images[:BEFORE], train.labels[:BEFORE], list(range(10)))
    pixels = train.images[0].float().flatten() / 2  # as in BindsNET's example: at most 128 Hz

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
    """Return the exponents of time and memory along each axis with at least two points."""
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
    """Return the exponent of a quantity's growth, or None if it was not measured."""
    values = [point[quantity] for point in measured]
    return growth.exponent(sizes, values) if all(values) else None


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    print(json.dumps(measured_here(asked)))

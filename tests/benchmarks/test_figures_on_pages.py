"""Figures that a page repeats are those of ``docs/benchmarks/results.json``, rounded as shown.

A page is read with each run of white space as one space.
"""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import commands, report
from benchmarks.report import AUTO, STEP
from benchmarks.timing import WIDEST

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
RESULTS: dict[str, Any] = json.loads((ROOT / "docs/benchmarks/results.json").read_text("utf-8"))
BASE = {"hidden": 1000, "num_steps": 25, "batch": 128}


def candidates(code: str, **changed: int) -> dict[str, Any]:
    """Return what was measured of each candidate at the base network, or at one beside it."""
    wanted = {"code": code, **BASE, **changed}
    (found,) = (one for one in RESULTS["networks"] if wanted.items() <= one.items())
    return dict(found["candidates"])


def times_as_fast(found: dict[str, Any]) -> float:
    """Return the ratio of the fastest peer's training step to ours."""
    return step(found, report.fastest_peer(found, STEP)) / step(found)


def step(found: dict[str, Any], name: str = AUTO) -> float:
    """Return the seconds of a candidate's training step."""
    seconds = report.seconds(found, name, STEP)
    assert seconds is not None, f"{name} has no training step"
    return seconds


def runs(command: str) -> list[dict[str, Any]]:
    found = [one for one in RESULTS["commands"] if one["command"] == command]
    assert len(found) == 3, f"{command} has {len(found)} runs, not those of three seeds"
    return found


def accuracies(command: str) -> list[float]:
    return [commands.accuracy(one) for one in runs(command)]


def mean(command: str) -> float:
    return statistics.mean(accuracies(command))


def seconds(command: str) -> float:
    return statistics.median(one["seconds"] for one in runs(command) if not one.get("busy"))


def minutes(command: str) -> str:
    return f"{seconds(command) / 60:.0f} minutes"


def spread(shares: list[float], digits: int, unit: str = "") -> str:
    """Return a mean, with the lowest and the highest in brackets."""
    average, low, high = (
        f"{share:.{digits}f}" for share in (statistics.mean(shares), min(shares), max(shares))
    )
    return f"{average}{unit} ({low} to {high})"


FAST, SPARSE, ACCURATE = (
    f"spikemnist train --recipe {name} --data mnist" for name in ("fast", "sparse", "accurate")
)
CONV = "spikemnist train --model conv --data mnist"
ACCURATE_CONV = f"{ACCURATE} --model conv"
FASHION = "spikemnist train --data fashion_mnist --recipe accurate"
FASHION_CONV = f"{FASHION} --model conv"
PLAIN = (
    f"{ACCURATE} --augment none --batch-norm --encoder direct --num-steps 2 "
    "--hidden 1024 1024 1024 --epochs 40 --dropout 0.5 --input-dropout 0.2 --label-smoothing 0.1"
)
STDP, FEATURES = (f"spikemnist stdp --data mnist {rest}" for rest in ("--neurons", "--features 64"))


def readme() -> Iterator[str]:
    images = (FAST, ACCURATE, ACCURATE_CONV, FASHION, FASHION_CONV, SPARSE)
    for command in (*images, f"{STDP} 400", FEATURES):
        paper = "; Diehl and Cook: 87.0" if command.startswith(STDP) else ""
        accuracy = spread(accuracies(command), 2) + paper
        yield f"| `{command}` | {accuracy} | {seconds(command):.0f} s |"
    yield f"`{STDP} 100` takes {seconds(f'{STDP} 100'):.0f} s on two cores"
    rate, latency = (1e3 * step(candidates(code)) for code in ("rate", "latency"))
    yield (
        f"takes {rate:.1f} ms in rate code and {latency:.1f} ms in "
        f"latency code, {times_as_fast(candidates('rate')):.1f} and "
        f"{times_as_fast(candidates('latency')):.0f} times as fast"
    )


def index() -> Iterator[str]:
    yield (
        f"**{times_as_fast(candidates('rate')):.1f} times as fast in rate code and "
        f"{times_as_fast(candidates('latency')):.0f} times in latency code**"
    )
    yield f"reaches **{mean(FAST):.1f} % after {seconds(FAST):.0f} s**"
    yield f"augmented images {mean(ACCURATE):.1f} % after {minutes(ACCURATE)}"
    yield f"convolutions {mean(CONV):.1f} % after {seconds(CONV):.0f} s"
    yield f"**{mean(ACCURATE_CONV):.1f} % after {minutes(ACCURATE_CONV)}**"
    yield f"reach {mean(FASHION):.1f} % on Fashion-MNIST after {minutes(FASHION)}"
    yield f"and convolutions {mean(FASHION_CONV):.1f} % after {minutes(FASHION_CONV)}."
    few = f"{STDP} 400"
    yield f"reaches {mean(few):.1f} % with 400 neurons after {seconds(few):.0f} s"


def engine() -> Iterator[str]:
    named: list[tuple[str, str, dict[str, int]]] = [
        ("latency code, 0.7 % of the inputs are spikes", "latency", {}),
        ("rate code, 12.7 % of the inputs are spikes", "rate", {}),
        ("direct code, the same input at every timestep", "direct", {}),
        ("rate code, 8 timesteps", "rate", {"num_steps": 8}),
        ("rate code, 100 timesteps", "rate", {"num_steps": 100}),
        ("rate code, 128 hidden neurons", "rate", {"hidden": 128}),
        ("rate code, 4096 hidden neurons", "rate", {"hidden": 4096}),
        ("rate code, batch of 1", "rate", {"batch": 1}),
    ]
    for row, code, changed in named:
        yield f"| {row} | {times_as_fast(candidates(code, **changed)):.1f} |"
    for code in ("latency", "rate"):
        (network,) = (
            one for one in RESULTS["networks"] if {"code": code, **BASE}.items() <= one.items()
        )
        yield f"{code} code, {100 * network['work']['input_density']:.1f} % of the inputs"
    conv = next(one for one in RESULTS["convolution"] if one["code"] == "rate")
    assert (conv["num_steps"], conv["batch"]) == (8, 64)
    row = f"rate code, {conv['layers']}, 8 timesteps, batch of 64"
    yield f"| {row} | {times_as_fast(conv['candidates']):.1f} |"


def command_line() -> Iterator[str]:
    yield f"reaches {mean(PLAIN):.1f} % on MNIST"


def local_learning() -> Iterator[str]:
    for neurons, more in (("100", ""), ("400", ""), ("1600", ""), ("6400", " --passes 5")):
        command = f"{STDP} {neurons}{more}"
        printed = [dict(commands.VOTES.findall(one["printed"])) for one in runs(command)]
        cells = [
            spread([float(one[vote]) for one in printed], 1, " %") for vote in commands.VOTINGS
        ]
        yield f"% | {' | '.join(cells)} | {seconds(command):,.0f}"
        (point,) = (
            one
            for one in RESULTS["stdp"]
            if one["axis"] == "neurons" and one["neurons"] == int(neurons)
        )
        learning, responding = (report.milliseconds(point[key]) for key in ("learn", "respond"))
        yield f"| {neurons} | {learning} | {responding} | {point['bytes'] / 2**20:.0f} |"
    (pair,) = (one["bindsnet"] for one in RESULTS["stdp"] if one.get("bindsnet"))
    ours, theirs = report.milliseconds(pair["ours"]), f"{1e3 * pair['theirs']:.0f}"
    yield f"an image takes {ours} ms, and {theirs} ms in BindsNET's network"


def benchmarks() -> Iterator[str]:
    timings = [
        timing
        for network in RESULTS["networks"]
        for name in (AUTO, "snnTorch")
        for timing in network["candidates"][name]["stages"].values()
    ]
    wide = sum(
        high - low > WIDEST * timing["median"]
        for timing in timings
        for low, high in [timing["quartiles"]]
    )
    number = {6: "six"}.get(wide, str(wide))
    yield f"Of the {len(timings)} timings of this package and of snnTorch's loop, {number} have"


PAGES = {
    "README.md": readme,
    "docs/index.md": index,
    "docs/benchmarks.md": benchmarks,
    "docs/command-line.md": command_line,
    "docs/guide/engine.md": engine,
    "docs/guide/local-learning.md": local_learning,
}


@pytest.mark.parametrize("page", PAGES)
def test_the_figures_of_a_page_are_the_measured_ones(page: str) -> None:
    text = re.sub(r"\s+", " ", (ROOT / page).read_text(encoding="utf-8"))
    assert [expected for expected in PAGES[page]() if expected not in text] == []

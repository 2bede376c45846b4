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
from benchmarks.accuracies import HEADER, ours
from benchmarks.report import AUTO, STEP

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


def spread(shares: list[float], digits: int, unit: str = "") -> str:
    """Return a mean, with the lowest and the highest in brackets."""
    average, low, high = (
        f"{share:.{digits}f}" for share in (statistics.mean(shares), min(shares), max(shares))
    )
    return f"{average}{unit} ({low} to {high})"


FAST, ACCURATE = (f"spikemnist train --recipe {name} --data mnist" for name in ("fast", "accurate"))
ACCURATE_CONV = f"{ACCURATE} --model conv"
FASHION = "spikemnist train --data fashion_mnist --recipe accurate"
FASHION_CONV = f"{FASHION} --model conv"
PLAIN = (
    f"{ACCURATE} --augment none --batch-norm --encoder direct --num-steps 2 "
    "--hidden 1024 1024 1024 --epochs 40 --dropout 0.5 --input-dropout 0.2 --label-smoothing 0.1"
)
STDP = "spikemnist stdp --data mnist --neurons"


def span(kind: str, stage: str = STEP) -> str:
    """Return the lowest and the highest ratio to the fastest peer."""
    return report.span(report.kinds(RESULTS)[kind], stage)


def machine() -> str:
    """Return the words for the processor on which all times of a page were measured."""
    machines = [one["machine"] for one in RESULTS["commands"] if not one.get("busy")]
    machines += [RESULTS["runs"][section]["machine"] for section in ("networks", "convolution")]
    kinds = {(one["processor"], one["cores"], one["vector"]) for one in machines}
    assert kinds == {("Intel(R) Xeon(R) Processor", 2, "AVX512")}
    return "two cores of an Intel Xeon with AVX-512"


def version(package: str) -> str:
    """Return the minor version of a package in the comparison."""
    major, minor, *_ = RESULTS["runs"]["networks"]["machine"]["packages"][package].split(".")
    return f"{major}.{minor}"


def libraries() -> str:
    return (
        f"snnTorch {version('snntorch')}, SpikingJelly {version('spikingjelly')}, "
        f"Norse {version('norse')} and Sinabs {version('sinabs')}"
    )


def networks() -> int:
    return len(report.kinds(RESULTS)["all"])


def readme() -> Iterator[str]:
    """The landing page of the docs includes it."""
    for command in (FAST, ACCURATE, ACCURATE_CONV, FASHION, FASHION_CONV):
        row = ours(command, runs(command))
        last, time = (row.cells[HEADER.index(name)] for name in ("Last, %", "Time"))
        yield f"| `{command}` | {last} | {time} |".replace("\u00a0", " ")
    yield (
        f"{machine()}, PyTorch {version('torch')} and snnTorch {version('snntorch')}. | Command |"
    )
    yield (
        f"{span('all')} times as fast as with the fastest of {libraries()}, over {networks()} "
        f"networks: {span('dense, rate code')} in rate code, {span('dense, latency code')} in "
        f"latency code, {span('dense, direct code')} in direct code, "
        f"{span('of these, one image')} with one image, {span('convolutions')} with convolutions."
    )


def comparison() -> Iterator[str]:
    yield (
        f"Over {networks()} networks, a training step is {span('all')} times as fast here as with "
        f"the fastest of snnTorch, SpikingJelly, Norse and Sinabs, and inference "
        f"{span('all', report.INFERENCE)} times"
    )
    yield f"{machine()} and torch {version('torch')}"
    published = json.loads((ROOT / "benchmarks/published.json").read_text("utf-8"))
    (paper,) = (one for one in published if one["network"].startswith("6400 neurons"))
    here = mean(f"{STDP} 6400 --passes 5")
    yield f"STDP with 6400 neurons, {paper['best']} % by {paper['name']} and {here:.1f} % here"


def engine() -> Iterator[str]:
    yield (
        f"Over all {networks()} networks of {{doc}}`../benchmarks/results`, a training step is "
        f"{span('all')} times as fast as with the fastest of {libraries()}, on {machine()} and "
        f"torch {version('torch')}"
    )
    named: list[tuple[str, str, dict[str, int]]] = [
        ("latency code, 0.7 % of the inputs are spikes", "latency", {}),
        ("latency code, 100 timesteps", "latency", {"num_steps": 100}),
        ("latency code, batch of 1", "latency", {"batch": 1}),
        ("rate code, 12.7 % of the inputs are spikes", "rate", {}),
        ("direct code, the same input at every timestep", "direct", {}),
        ("direct code, 8 timesteps, run by the reference", "direct", {"num_steps": 8}),
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
        quiet = any(not one.get("busy") for one in runs(command))
        yield f"% | {' | '.join(cells)} | {f'{seconds(command):,.0f}' if quiet else '–'} |"
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


PAGES = {
    "README.md": readme,
    "docs/comparison.md": comparison,
    "docs/command-line.md": command_line,
    "docs/guide/engine.md": engine,
    "docs/guide/local-learning.md": local_learning,
}


@pytest.mark.parametrize("page", PAGES)
def test_the_figures_of_a_page_are_the_measured_ones(page: str) -> None:
    text = re.sub(r"\s+", " ", (ROOT / page).read_text(encoding="utf-8"))
    assert [expected for expected in PAGES[page]() if expected not in text] == []

"""Run the benchmarks, and write the results as JSON, Markdown and pictures.

    python -m benchmarks --quick --out /tmp/quick       # minutes, to see that everything runs
    python -m benchmarks --out docs/benchmarks          # the results of the docs

Run them on an otherwise idle machine. Every installed library takes part:
``python -m pip install -e ".[bench]"``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import (
    accuracies,
    candidates,
    commands,
    convolution,
    exports,
    gpu,
    networks,
    readme,
    report,
    stdp,
)
from benchmarks.machine import describe_machine
from benchmarks.plan import QUICK, Plan
from benchmarks.workload import CODES
from spikemnist._atomic import write_atomically
from spikemnist.models import available_pretrained

SECTIONS = ("networks", "convolution", "stdp", "export")
COMMANDS, GPU = "commands", "gpu"
"""Sections that take long or need a GPU; they run only when named in ``--sections``."""

JSON, SPEEDS, ACCURACIES, EXPORT = "results.json", "speeds.md", "accuracies.md", "export.md"


def main(arguments: list[str] | None = None) -> None:
    """Measure the requested sections, write the results, and print the file names.

    With the results of the docs, the pages of `readme.PAGES` and those in the README are written.
    """
    options = parse(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / JSON
    earlier = {}
    if options.draw or file.exists():
        earlier = json.loads(file.read_text(encoding="utf-8"))
    results = earlier
    if not options.draw:
        results = run(plan_of(options), options.sections, earlier, file)
    from benchmarks import pictures  # importing matplotlib takes time and memory

    drawn = [options.out / name for name in pictures.draw(results, options.out)]
    published = options.out.resolve() == readme.PUBLISHED
    folder = readme.PAGES if published else options.out
    written = pages(results, [os.path.relpath(picture, folder) for picture in drawn])
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    if published:
        text = readme.written(readme.README.read_text(encoding="utf-8"), results)
        readme.README.write_text(text, encoding="utf-8")
    print(file, *(folder / name for name in written), *drawn, sep="\n")


def pages(results: dict[str, Any], drawn: Sequence[str]) -> dict[str, str]:
    """Return the pages of these results by the names of their files."""
    parts = {SPEEDS: [report.page(results, drawn).rstrip("\n")]}
    if results[COMMANDS]:
        parts[ACCURACIES] = [*accuracies.lines(results[COMMANDS])]
    if results["export"]:
        parts[EXPORT] = [*exports.lines(results["export"])]
    if results.get(GPU):
        parts[f"{GPU}.md"] = [*gpu.lines(results[GPU])]
    return {name: "\n\n".join(lines) + "\n" for name, lines in parts.items()}


def run(
    plan: Plan, sections: Iterable[str], earlier: Mapping[str, Any], file: Path
) -> dict[str, Any]:
    """Measure sections and return all results as plain values.

    Parameters
    ----------
    plan : Plan
        Sizes to measure.
    sections : iterable of str
        Sections to measure.
    earlier : mapping of str to Any
        Earlier results. Their other sections are kept, each with its machine.
    file : pathlib.Path
        JSON file; the results so far are written after each measurement, so that none is lost.
    """
    tell(f"candidates: {', '.join(candidates.names())}; {torch.get_num_threads()} threads")
    nothing = dict.fromkeys((*SECTIONS, COMMANDS), ())
    results: dict[str, Any] = {**nothing, **earlier, "runs": dict(earlier.get("runs", {}))}
    for section in sections:
        if section == COMMANDS:
            measure_commands(plan, results, file)
            continue
        machine = describe_machine()
        results["runs"][section] = {"machine": machine, "plan": asdict(plan)}
        results[section] = []
        for measure, item in work(plan, section):
            results[section].append(told(section, measure, item))
            write(results, file)
    return results


def measure_commands(plan: Plan, results: dict[str, Any], file: Path) -> None:
    """Run commands; keep the results of other commands and seeds, each with its machine."""
    for item in commands.items(plan):
        found = told(COMMANDS, commands.measure, item)
        results[COMMANDS] = commands.merge(results[COMMANDS], found)
        write(results, file)


def work(plan: Plan, section: str) -> list[tuple[Callable[[Any], Any], Any]]:
    """Return pairs of a measuring function and its argument for a section."""
    measures: dict[str, tuple[Callable[[Any], Any], Iterable[Any]]] = {
        "networks": (lambda workload: networks.measure(workload, plan), plan.workloads()),
        "convolution": (
            lambda workload: convolution.measure(workload, plan),
            [replace(plan.convolution, code=code) for code in plan.codes if code != "latency"],
        ),
        "stdp": (stdp.measure, stdp.points(plan)),
        "export": (exports.measure, available_pretrained()),
        GPU: (gpu.measure, gpu.sizes() if section == GPU else ()),
    }
    measure, items = measures[section]
    return [(measure, item) for item in items]


def write(results: Mapping[str, Any], file: Path) -> None:
    """Replace the contents of the file by these results."""
    text = json.dumps(results, indent=1) + "\n"
    write_atomically(file, lambda new: new.write_text(text, encoding="utf-8"))


def told(section: str, measure: Callable[[Any], Any], item: Any) -> Any:
    """Measure an item, and print the elapsed time to standard error."""
    started = time.perf_counter()
    found = measure(item)
    tell(f"{time.perf_counter() - started:6.1f} s  {section}: {item}")
    return found


def tell(line: str) -> None:
    """Print progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def plan_of(options: argparse.Namespace) -> Plan:
    """Return the plan that the options describe."""
    plan = QUICK if options.quick else Plan()
    given = {
        "codes": tuple(options.codes),
        "repeats": options.repeats,
        "budget": options.budget,
        "commands": options.commands and tuple(options.commands),
        "seeds": options.seeds and tuple(options.seeds),
    }
    return replace(plan, **{name: value for name, value in given.items() if value is not None})


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("benchmark"), help="folder for results and pictures")
    add("--quick", action="store_true", help="small networks: does everything run?")
    everything = (*SECTIONS, COMMANDS, GPU)
    add("--sections", nargs="+", choices=everything, default=SECTIONS, help="what to measure")
    add("--codes", nargs="+", choices=CODES, default=CODES, help="in which codes")
    add("--repeats", type=int, help="timed calls of each stage of each candidate")
    add("--budget", type=float, help="seconds for a stage of all candidates together")
    add("--threads", type=int, help="of torch, and of every candidate that follows it")
    add("--commands", nargs="+", metavar="COMMAND", help="of the section commands")
    add("--seeds", nargs="+", type=int, metavar="SEED", help="that each of them gets")
    add("--draw", action="store_true", help=f"measure nothing, draw {JSON} of the folder anew")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

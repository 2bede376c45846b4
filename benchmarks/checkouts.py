"""Compare the speed of two checkouts: two processes take turns, a few calls at a time.

Run ``python -m benchmarks.checkouts OLD NEW`` on an otherwise idle machine. The speed of a shared
machine changes from second to second, so two runs one after the other cannot resolve a few percent.
Here each checkout has its own process, and the two alternate in blocks of calls. A ratio compares
the fastest calls of two neighbouring blocks; the result is the median and the quartiles over seven
pairs of blocks in each of three pairs of processes, because the memory layout of a process affects
its speed, too. All of it takes some six minutes on two cores. `OMP_NUM_THREADS=1` reduces the noise
further.

A checkout is slower where the lower quartile of the ratio is above 1.02.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

BLOCK = 0.2
"""Duration of a block of calls in seconds."""

NETWORKS: dict[str, tuple[str, int, int, dict[str, Any]]] = {
    "rate 784-1000-10": ("rate", 25, 128, {"hidden": 1000}),
    "latency 784-1000-10": ("latency", 25, 128, {"hidden": 1000}),
    "direct 784-1000-10": ("direct", 25, 128, {"hidden": 1000}),
    "batch 1, latency 784-1000-10": ("latency", 25, 1, {"hidden": 1000}),
    "rate 784-1000-10, dropout": ("rate", 25, 128, {"hidden": 1000, "dropout": 0.2}),
    "12C5-P2-64C5-P2-10": ("rate", 8, 64, {"layers": "12C5-P2-64C5-P2-10"}),
    "recipe fast": ("latency", 4, 512, {"hidden": 500, "threshold": 0.5}),
    "recipe accurate": ("latency", 8, 128, {"hidden": (800, 800)}),
    "recipe accurate, conv": (
        "direct",
        2,
        128,
        {"layers": "32C5-P2-64C3-64C3-P2-128C3-10", "batch_norm": True},
    ),
    "recipe fashion, conv": (
        "direct",
        2,
        128,
        {"layers": "64C5p2-P2-128C3-P2-256C3-10", "batch_norm": True, "dropout": 0.2},
    ),
    "recipe sparse": ("latency", 16, 128, {"hidden": 400, "readout": "first_spike"}),
}
"""Code, timesteps, batch and options of each network: the rows of the README, a batch of one image,
dropout between dense layers, and the convolutions of snnTorch's tutorial 6."""

STREAMED = {"batch 1, latency 784-1000-10": ("one timestep",)}
"""The row with a third stage: the next timestep, from the state that the last one left."""

STDP = ("stdp, 400 neurons", "stdp, 64 features")
"""The README's rows of learning without labels. Their training step is one of 64 images with
neurons, and the whole training on 256 images with features."""

ROWS = (*NETWORKS, *STDP)


class Process:
    """A process that imports spikemnist from a checkout and times calls on request."""

    def __init__(self, checkout: Path, cache: Path) -> None:
        paths = {"PYTHONPATH": str(checkout / "src"), "NUMBA_CACHE_DIR": str(cache)}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **paths},
            cwd=cache,
            text=True,
        )

    def ask(self, *question: Any) -> Any:
        """Send a question and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {question} ended with {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """Let the process end."""
        self._process.communicate()


def compare(
    old: Path, new: Path, *, rows: list[str], pairs: int, processes: int
) -> dict[str, list[tuple[float, float]]]:
    """Return the milliseconds of the fastest calls, old and new, for each row and stage."""
    found: dict[str, list[tuple[float, float]]] = {}
    with TemporaryDirectory() as folder:
        caches = [Path(folder, name) for name in ("old", "new")]
        for cache in caches:
            cache.mkdir()
        for _ in range(processes):
            both = [Process(*side) for side in zip((old, new), caches, strict=True)]
            for row in rows:
                for stage in ("training step", "inference", *STREAMED.get(row, ())):
                    calls = int(min(process.ask(row, stage, 0) for process in both))
                    for turn in range(pairs):
                        order = both if turn % 2 == 0 else both[::-1]
                        times = [process.ask(row, stage, calls) for process in order]
                        left, right = times if turn % 2 == 0 else times[::-1]
                        found.setdefault(f"{row}, {stage}", []).append((left, right))
            for process in both:
                process.close()
    return found


def table(found: dict[str, list[tuple[float, float]]]) -> str:
    """Return a Markdown table of the median times, and the median and quartiles of the ratios."""
    lines = ["| row | old, ms | new, ms | new / old | quartiles |", "|---|---|---|---|---|"]
    for row, pairs in found.items():
        old, new = (median(side) for side in zip(*pairs, strict=True))
        low, middle, high = quantiles([b / a for a, b in pairs], n=4)
        lines.append(f"| {row} | {old:.3f} | {new:.3f} | {middle:.3f} | {low:.3f} to {high:.3f} |")
    return "\n".join(lines)


def serve() -> None:
    """Answer requests: the milliseconds of the fastest call, or the number of calls in a block."""
    stages = dict[str, dict[str, "Callable[[], object]"]]()
    for line in sys.stdin:
        row, stage, calls = json.loads(line)
        if row not in stages:
            stages = {row: _stages(row)}
        run = stages[row][stage]
        if not calls:
            for _ in range(5):
                run()
            started = time.perf_counter()
            run()
            print(max(1, int(BLOCK / (time.perf_counter() - started))), flush=True)
            continue
        times = []
        for _ in range(calls):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        print(1e3 * min(times), flush=True)


def _stages(row: str) -> dict[str, Callable[[], object]]:
    from spikemnist.data import load_digits

    train, _ = load_digits()
    if row in NETWORKS:
        return _stages_of_network(train, *NETWORKS[row])
    from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier

    images, labels = train.images[:256], train.labels[:256]
    if row == STDP[0]:
        neurons = STDPClassifier(400).partial_fit(images, labels)
        return {
            "training step": lambda: neurons.partial_fit(images[:64], labels[:64]),
            "inference": lambda: neurons.count_spikes(images[:64]),
        }
    features = ConvSTDPClassifier(64).fit(images, labels)
    return {
        "training step": lambda: ConvSTDPClassifier(64, epochs=1).fit(images, labels),
        "inference": lambda: features.predict(images),
    }


def _stages_of_network(
    train: Any, code: str, num_steps: int, batch: int, options: dict[str, Any]
) -> dict[str, Callable[[], object]]:
    import torch

    from spikemnist.encoding import get_encoder
    from spikemnist.models import LeakyConvNet, LeakyMLP

    torch.manual_seed(0)
    images, labels = train.images[:batch].float() / 255, train.labels[:batch]
    encoder: Any = get_encoder(code, num_steps=num_steps)
    if code != "direct":  # uint8, as in `fit`; an older checkout has the dtype as a field
        compact = {"dtype": torch.uint8}
        as_field = hasattr(encoder, "dtype")
        encoder = replace(encoder, **compact) if as_field else partial(encoder, **compact)
    model: Any = (LeakyConvNet if "layers" in options else LeakyMLP)(**options)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)  # as `fit` does
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        scores = model(encoder(images, generator=generator)).scores
        torch.autograd.backward(torch.nn.functional.cross_entropy(scores, labels))
        optimizer.step()

    def infer() -> None:
        model.eval()
        with torch.inference_mode():
            model(encoder(images, generator=generator))

    stages: dict[str, Callable[[], object]] = {"training step": step, "inference": infer}
    if batch == 1:
        timesteps, state = itertools.cycle(encoder(images, generator=generator)), None

        def advance() -> None:
            nonlocal state
            with torch.inference_mode():
                state = model(next(timesteps)[None], state=state).state

        stages["one timestep"] = advance
    return stages


def main() -> None:
    """Compare two checkouts and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkouts", description=__doc__)
    add = parser.add_argument
    add("old", type=Path, nargs="?", help="folder of a checkout")
    add("new", type=Path, nargs="?", help="folder of another one")
    add("--rows", nargs="+", choices=ROWS, default=ROWS, metavar="ROW", help="some of the rows")
    add("--pairs", type=int, default=7, help="pairs of blocks of a row and a pair of processes")
    add("--processes", type=int, default=3, help="pairs of processes")
    add("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
    elif given.old is None or given.new is None:
        parser.error("expected the folders of two checkouts")
    else:
        sides = given.old.resolve(), given.new.resolve()
        sizes = {"pairs": given.pairs, "processes": given.processes}
        print(table(compare(*sides, rows=given.rows, **sizes)))


if __name__ == "__main__":
    main()

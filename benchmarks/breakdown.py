"""Time each kernel of a training step on the event-driven engine.

    python -m benchmarks.breakdown

The network is 784-H-10 with T=25, batch 128 and fused Adam, on MNIST or the digits of the package.
Each kernel is timed where a normal training step calls it. The rest of the step is Python, torch's
own operators and the optimiser.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import statistics
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch.nn import functional

from spikemnist.data import load_digits, load_mnist
from spikemnist.encoding import LatencyEncoder, RateEncoder
from spikemnist.kernels import scheduler
from spikemnist.models import LeakyMLP

if TYPE_CHECKING:
    from collections.abc import Callable

CODES = {"rate": RateEncoder, "latency": LatencyEncoder}
USERS = (
    "spikemnist.encoding.kernels",
    "spikemnist.kernels.spike_lists",
    "spikemnist.engine.gradients",
    "spikemnist.engine.layer",
    "spikemnist.engine.separable",
    "spikemnist.kernels.blocks",
)


def make_step(code: str, hidden: int, steps: int, batch: int) -> tuple[Callable[[], None], int]:
    """Return a training step, and the number of its input spikes."""
    train, _ = load_mnist() if os.environ.get("SPIKEMNIST_DATA") else load_digits()
    images, labels = train.images[:batch].float() / 255, train.labels[:batch]
    encoder = CODES[code](num_steps=steps, dtype=torch.uint8)
    torch.manual_seed(0)
    model = LeakyMLP(hidden=(hidden,), backend="event_driven")
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        spikes = encoder(images)
        torch.autograd.backward(functional.cross_entropy(model(spikes).scores, labels))
        optimizer.step()

    return step, int(encoder(images).sum())


def measure(step: Callable[[], None], repeats: int) -> tuple[dict[str, float], float]:
    """Return the median milliseconds of each kernel in a step, and of the whole step."""
    calls: dict[str, list[float]] = collections.defaultdict(list)
    current: dict[str, float] = collections.defaultdict(float)

    def timed(kernel: Any, units: int, *arguments: Any, **options: Any) -> None:
        started = time.perf_counter()
        scheduler.parallel(kernel, units, *arguments, **options)
        current[f"{kernel.__name__.strip('_')}, {units} units"] += time.perf_counter() - started

    whole = []
    with contextlib.ExitStack() as stack:
        for module in USERS:
            stack.enter_context(mock.patch(f"{module}.parallel", timed))
        for index in range(repeats + 5):
            current.clear()
            started = time.perf_counter()
            step()
            if index >= 5:
                whole.append(1e3 * (time.perf_counter() - started))
                for name, seconds in current.items():
                    calls[name].append(1e3 * seconds)
    return {name: statistics.median(values) for name, values in calls.items()}, statistics.median(
        whole
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hidden", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, ms, medians\n")
    for code in CODES:
        step, spikes = make_step(code, options.hidden, options.steps, options.batch)
        kernels, whole = measure(step, options.repeats)
        print(f"{code}: {spikes:,} input spikes in a batch\n\n| kernel | ms |\n|---|---|")
        for name, value in kernels.items():
            print(f"| {name} | {value:.2f} |")
        print(f"| everything else | {whole - sum(kernels.values()):.2f} |")
        print(f"| **step** | **{whole:.2f}** |\n")


if __name__ == "__main__":
    main()

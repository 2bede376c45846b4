"""The plan of the measurements: a base point and sweeps along each axis, or the whole grid."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from benchmarks.workload import CODES, Workload

AXES = {"num_steps": "timesteps", "batch": "batch size", "hidden": "hidden neurons"}
"""Swept attributes of a workload, and their labels in pictures."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes and repetitions.

    Attributes
    ----------
    base
        Workload at which the sweeps cross.
    hidden, num_steps, batch
        Values of each sweep.
    codes
        Codes; each is measured in all sweeps.
    whole_grid
        Whether to measure every combination instead of the sweeps.
    layer_widths, layer_steps, layer_batch
        Widths, timesteps and batch of the single layer with dense input.
    memory
        Network whose memory is measured in a training step, in every code.
    convolution
        Timesteps and batch of the convolutional network, in rate and direct code.
    stdp_neurons, stdp_rates, stdp_blocks
        Numbers of neurons, pixel rates in Hz, and number of timed blocks of 64 images for STDP.
    commands, seeds
        Commands whose accuracy is measured, and the seeds of each.
    epoch
        Number of training images in the epoch of ``fit``.
    repeats, budget
        Number of timed calls, and seconds after which no more calls start: see `time_in_turn`.
    """

    base: Workload = Workload()  # noqa: RUF009 - it is frozen
    hidden: tuple[int, ...] = (128, 512, 1000, 4096)
    num_steps: tuple[int, ...] = (8, 25, 100)
    batch: tuple[int, ...] = (1, 32, 128, 512)
    codes: tuple[str, ...] = CODES
    whole_grid: bool = False
    layer_widths: tuple[int, ...] = (512, 1024, 2048, 4096)
    layer_steps: int = 500
    layer_batch: int = 16
    memory: Workload = Workload(batch=512)  # noqa: RUF009
    convolution: Workload = Workload(num_steps=8, batch=64)  # noqa: RUF009
    stdp_neurons: tuple[int, ...] = (100, 400, 1600, 6400)
    stdp_rates: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0)
    stdp_blocks: int = 10
    commands: tuple[str, ...] = (
        "spikemnist train --recipe fast --data mnist",
        "spikemnist train --recipe sparse --data mnist",
        "spikemnist train --recipe accurate --data mnist",
        "spikemnist train --recipe accurate --data mnist --augment --batch-norm --encoder direct "
        "--num-steps 2 --hidden 1024 1024 1024 --epochs 40 --dropout 0.5 --input-dropout 0.2 "
        "--label-smoothing 0.1",
        "spikemnist train --recipe accurate --data mnist --model conv",
        "spikemnist train --model conv --data mnist",
        "spikemnist stdp --data mnist --neurons 100",
        "spikemnist stdp --data mnist --neurons 400",
        "spikemnist stdp --data mnist --neurons 1600",
        "spikemnist stdp --data mnist --neurons 6400 --passes 5",
        "spikemnist stdp --data mnist --features 64",
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    epoch: int = 5000
    repeats: int = 30
    budget: float = 8.0

    def workloads(self) -> list[Workload]:
        """Return each workload once, grouped by code."""
        return [workload for code in self.codes for workload in self._of_code(code)]

    def sweep(self, axis: str, code: str) -> list[Workload]:
        """Return the workloads along an axis through the base point."""
        base = replace(self.base, code=code)
        return [replace(base, **{axis: value}) for value in getattr(self, axis)]

    def _of_code(self, code: str) -> list[Workload]:
        if self.whole_grid:
            sizes = itertools.product(self.hidden, self.num_steps, self.batch)
            return [Workload(code=code, hidden=h, num_steps=t, batch=b) for h, t, b in sizes]
        points = [replace(self.base, code=code)]
        for axis in ("hidden", "num_steps", "batch"):  # this order trains weights only once
            points.extend(self.sweep(axis, code))
        return list(dict.fromkeys(points))


QUICK = Plan(
    base=Workload(hidden=64, num_steps=8, batch=32),
    hidden=(32, 64, 128),
    num_steps=(4, 8, 16),
    batch=(8, 32, 64),
    layer_widths=(64, 128, 256),
    layer_steps=20,
    memory=Workload(hidden=64, batch=128),
    convolution=Workload(num_steps=3, batch=8),
    stdp_neurons=(20, 40),
    stdp_rates=(16.0, 32.0),
    stdp_blocks=1,
    commands=("spikemnist train --epochs 1",),
    seeds=(0,),
    epoch=640,
    repeats=6,
    budget=0.2,
)
"""A plan that runs everything in about a minute; its speeds mean nothing."""

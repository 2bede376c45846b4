"""The plan of the measurements: a base point, and sweeps through it along each axis."""

from __future__ import annotations

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
    convolution
        Timesteps and batch of the convolutional network, in rate and direct code.
    stdp_neurons, stdp_rates, stdp_blocks
        Numbers of neurons, pixel rates in Hz, and number of timed blocks of 64 images for STDP.
    commands, seeds
        Commands whose accuracy is measured, and the seeds of each; without seeds there are five
        for STDP, whose seeds differ more, and three for training by gradient.
    processes
        Number of processes in which each network is timed.
    compiled
        Whether snnTorch's loops run under `torch.compile`, too, at the base point and with one
        image.
    repeats, budget
        Number of timed calls in a process, and seconds after which no more calls start: see
        `time_in_turn`.
    """

    base: Workload = Workload()  # noqa: RUF009 - it is frozen
    hidden: tuple[int, ...] = (128, 512, 1000, 4096)
    num_steps: tuple[int, ...] = (8, 25, 100)
    batch: tuple[int, ...] = (1, 32, 128, 512)
    codes: tuple[str, ...] = CODES
    convolution: Workload = Workload(num_steps=8, batch=64)  # noqa: RUF009
    stdp_neurons: tuple[int, ...] = (100, 400, 1600, 6400)
    stdp_rates: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0)
    stdp_blocks: int = 10
    commands: tuple[str, ...] = (
        "spikemnist train --recipe fast --data mnist",
        "spikemnist train --recipe sparse --data mnist",
        "spikemnist train --recipe sparse --data mnist --model conv",
        "spikemnist train --recipe accurate --data mnist",
        "spikemnist train --recipe accurate --data mnist --augment none --batch-norm "
        "--encoder direct --num-steps 2 --hidden 1024 1024 1024 --epochs 40 --dropout 0.5 "
        "--input-dropout 0.2 --label-smoothing 0.1",
        "spikemnist train --recipe accurate --data mnist --model conv",
        "spikemnist train --model conv --data mnist",
        "spikemnist train --data fashion_mnist --recipe accurate",
        "spikemnist train --data fashion_mnist --recipe accurate --model conv",
        "spikemnist train --data fashion_mnist --recipe accurate --model conv --num-steps 1 "
        "--epochs 30 --spike-penalty 5e-6",
        "spikemnist stdp --data mnist --neurons 100",
        "spikemnist stdp --data mnist --neurons 400 --passes 3",
        "spikemnist stdp --data mnist --neurons 1600 --passes 3",
        "spikemnist stdp --data mnist --neurons 6400 --passes 3",
        "spikemnist stdp --data mnist --features 64",
        "spikemnist stdp --data mnist --features 128",
        "python -m benchmarks.readouts votes",
        "python -m benchmarks.readouts svm",
    )
    seeds: tuple[int, ...] = ()
    processes: int = 5
    compiled: bool = True
    repeats: int = 9
    budget: float = 1.6

    def workloads(self) -> list[Workload]:
        """Return each workload once, grouped by code."""
        return [workload for code in self.codes for workload in self._of_code(code)]

    def sweep(self, axis: str, code: str) -> list[Workload]:
        """Return the workloads along an axis through the base point."""
        base = replace(self.base, code=code)
        return [replace(base, **{axis: value}) for value in getattr(self, axis)]

    def _of_code(self, code: str) -> list[Workload]:
        points = [replace(self.base, code=code)]
        for axis in ("hidden", "num_steps", "batch"):  # this order trains weights only once
            points.extend(self.sweep(axis, code))
        return list(dict.fromkeys(points))


QUICK = Plan(
    base=Workload(hidden=64, num_steps=8, batch=32),
    hidden=(32, 64, 128),
    num_steps=(4, 8, 16),
    batch=(8, 32, 64),
    convolution=Workload(num_steps=3, batch=8),
    stdp_neurons=(20, 40),
    stdp_rates=(16.0, 32.0),
    stdp_blocks=1,
    commands=("spikemnist train --epochs 1",),
    seeds=(0,),
    processes=1,
    compiled=False,
    repeats=6,
    budget=0.2,
)
"""A plan that runs everything in some minutes; its speeds mean nothing."""

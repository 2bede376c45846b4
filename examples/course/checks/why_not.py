"""Tasks of sheet 4, why does it not learn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikemnist import ops

from .task import Task


def _silent(spikes: Tensor, *, over: tuple[int, ...] = (0, 1)) -> Tensor:
    """Return the share of entries without a spike, once these axes are summed."""
    return (spikes.sum(over) == 0).float().mean()


def _saturated(spikes: Tensor, *, over: tuple[int, ...] = (0,)) -> Tensor:
    """Return the share of entries with a spike at each place of these axes."""
    return (spikes.mean(over) == 1).float().mean()


def _worth(
    membranes: Tensor, threshold: float, slope: float, *, least: float = 0.01, power: int = 2
) -> Tensor:
    """Return the share of membranes at which the derivative is at least ``least``."""
    return (_slopes(membranes, threshold, slope) ** (power / 2) >= least).float().mean()


def _slopes(membranes: Tensor, threshold: float, slope: float) -> Tensor:
    return ops.FastSigmoid(slope=slope).derivative_(membranes - threshold)


def _scale(
    currents: Tensor,
    beta: float,
    threshold: float,
    share: float,
    *,
    reset: ops.ResetMechanism = "none",
    at: str = "highest",
    upper: bool = True,
) -> Tensor:
    """Return the factor with which this share of neurons and images reaches the threshold."""
    _, membranes = ops.leaky(currents, beta, threshold=threshold, reset_mechanism=reset)
    highest = {"highest": membranes.amax(0), "all": membranes}
    seen = {**highest, "last": membranes[-1], "mean": membranes.mean(0)}[at]
    return threshold / seen.flatten().quantile(1 - share if upper else share)


def _draw_spikes(generator: torch.Generator) -> list[tuple[Any, ...]]:
    # The first case of each task is small: a message shows all of its numbers.
    small = torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]], [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]])
    cases = [(small,)]
    for steps, images, neurons in ((8, 3, 40), (4, 2, 25), (1, 5, 12)):
        rates = torch.rand(images, neurons, generator=generator)
        rates[rates < 0.4], rates[rates > 0.7] = 0.0, 1.0  # for one image, not for each
        rates[:, :3], rates[:, 3:5] = 0.0, 1.0  # for each image
        cases.append((torch.rand(steps, images, neurons, generator=generator).lt(rates).float(),))
    return [*cases, (torch.zeros(6, 2, 5),), (torch.ones(6, 2, 5),)]


def _draw_membranes(generator: torch.Generator) -> list[tuple[Any, ...]]:
    small = torch.tensor([[[0.0, 0.9]], [[0.2, 1.2]], [[-0.5, 1.0]]])
    return [(small, 1.0, 20.0)] + [
        (torch.randn(6, 4, 30, generator=generator), threshold, slope)
        for threshold, slope in ((0.5, 25.0), (1.0, 10.0), (2.0, 60.0), (1.0, 1e4))
    ]


def _draw_currents(generator: torch.Generator) -> list[tuple[Any, ...]]:
    small = torch.tensor([[[0.1, 0.3, -0.2]], [[0.2, 0.0, 0.4]], [[0.0, -0.1, 0.5]]])
    return [(small, 0.9, 1.0, 0.4)] + [
        (torch.randn(steps, 5, 20, generator=generator) * size + size / 2, beta, threshold, share)
        for steps, size, beta, threshold, share in (
            (8, 0.1, 0.95, 1.0, 0.1),
            (8, 2.0, 0.9, 0.5, 0.3),
            (1, 0.3, 0.5, 1.0, 0.2),
        )
    ]


def _draw_weights(generator: torch.Generator) -> list[tuple[Any, ...]]:
    before = torch.randn(50, generator=generator) + 0.2
    change = torch.randn(50, generator=generator)
    drawn = [(before, before + change * size) for size in (0.0, 0.01, 1.0)]
    return [(torch.tensor([3.0, -4.0]), torch.tensor([3.0, 4.0])), *drawn, (before, -before)]


TASKS = {
    "silent_share": Task(
        right=_silent,
        draw=_draw_spikes,
        mistakes={
            "It counts a neuron as silent if it is silent for one image. A neuron is silent here "
            "if it fires for no image of the batch: sum over time and images, the axes 0 and 1.": (
                lambda spikes: _silent(spikes, over=(0,))
            ),
            "It counts the timesteps without a spike. Sum the spikes of each neuron first, then "
            "compare with 0.": lambda spikes: (spikes == 0).float().mean(),
            "It returns the share of the neurons that fire: compare the sum with == 0.": (
                lambda spikes: 1 - _silent(spikes)
            ),
            "It returns the number of the silent neurons: divide by N, or take the mean.": (
                lambda spikes: _silent(spikes) * spikes.shape[2]
            ),
            "It sums over the wrong axes: of [T, B, N], time is axis 0 and the images are axis 1. "
            "The neurons are axis 2, and stay.": lambda spikes: _silent(spikes, over=(1, 2)),
        },
    ),
    "saturated_share": Task(
        right=_saturated,
        draw=_draw_spikes,
        mistakes={
            "It asks for neurons that fire at every timestep of every image. Here each image "
            "counts by itself: sum over time alone, and compare with T.": (
                lambda spikes: _saturated(spikes, over=(0, 1))
            ),
            "It returns the firing rate. Sum the spikes over time, compare the sum with T, and "
            "take the mean of what is equal.": lambda spikes: spikes.mean(),
            "It compares with 8, which is T in this sheet alone: the number of timesteps is "
            "len(spikes).": lambda spikes: (spikes.sum(0) == 8).float().mean(),
            "It counts neurons that fire at least once. Saturated is a neuron that fires at each "
            "of the T timesteps.": lambda spikes: 1 - _silent(spikes, over=(0,)),
        },
    ),
    "surrogate_share": Task(
        right=_worth,
        draw=_draw_membranes,
        mistakes={
            "The threshold is not subtracted: the surrogate is highest where the membrane is at "
            "the threshold, x = membrane - threshold.": (
                lambda membranes, threshold, slope: _worth(membranes, 0.0, slope)
            ),
            "The absolute value of x is missing: below the threshold there is a derivative, too.": (
                lambda membranes, threshold, slope: (
                    ((1 + slope * (membranes - threshold)) ** -2 >= 0.01).float().mean()
                )
            ),
            "The square is missing: the derivative is 1 / (1 + k |x|)^2.": (
                lambda *case: _worth(*case, power=1)
            ),
            "It compares with 0.1. One per cent of the highest derivative is 0.01.": (
                lambda *case: _worth(*case, least=0.1)
            ),
            "One per cent is meant of the highest possible derivative, 1 at the threshold, not of "
            "the highest among these membranes: compare with 0.01.": (
                lambda *case: (_slopes(*case) >= 0.01 * _slopes(*case).max()).float().mean()
            ),
            "It compares the distance from the threshold with 0.01. Compute the derivative at this "
            "distance first.": lambda membranes, threshold, slope: (
                ((membranes - threshold).abs() <= 0.01).float().mean()
            ),
            "It returns the mean of the derivative. Compare the derivative with 0.01, and take "
            "the mean of what is at least as large.": lambda *case: _slopes(*case).mean(),
        },
    ),
    "start_scale": Task(
        right=_scale,
        draw=_draw_currents,
        mistakes={
            "It takes the wrong end: if a share of the highest membranes shall be above the "
            "threshold, a share of 1 - share lies below it. Take the quantile 1 - share.": (
                lambda *case: _scale(*case, upper=False)
            ),
            "It is the other way round: weights must grow where the membranes are too low, so "
            "the factor is threshold / quantile.": lambda *case: 1 / _scale(*case),
            "The membranes are reset by spikes. With a reset they do not grow like the weights: "
            "add up currents, decayed by beta, and subtract nothing.": (
                lambda *case: _scale(*case, reset="subtract")
            ),
            "It looks at the last timestep. A neuron fires when its membrane is highest: take the "
            "maximum over time, amax(0).": lambda *case: _scale(*case, at="last"),
            "It takes the mean over time. A neuron fires when its membrane is highest: take the "
            "maximum over time, amax(0).": lambda *case: _scale(*case, at="mean"),
            "It takes the quantile of all timesteps together. Take the maximum over time first, "
            "amax(0): whether a neuron fires, its highest membrane decides.": (
                lambda *case: _scale(*case, at="all")
            ),
            "It looks at currents. A membrane keeps beta of what it had, and adds the current.": (
                lambda currents, beta, *rest: _scale(currents, 0.0, *rest)
            ),
            "The membranes do not leak: keep beta of the membrane at each timestep.": (
                lambda currents, beta, *rest: _scale(currents, 1.0, *rest)
            ),
        },
    ),
    "moved_share": Task(
        right=lambda before, after: (after - before).norm() / before.norm(),
        draw=_draw_weights,
        mistakes={
            "It is the difference of two norms, which is 0 if the weights only turn. Take the "
            "norm of the difference, after - before.": (
                lambda before, after: (after.norm() - before.norm()) / before.norm()
            ),
            "It is not relative: divide by the norm of the weights before.": (
                lambda before, after: (after - before).norm()
            ),
            "It divides by the norm after the training: divide by the norm before.": (
                lambda before, after: (after - before).norm() / after.norm()
            ),
            "The root is missing: a norm is the square root of the sum of squares.": (
                lambda before, after: (after - before).square().sum() / before.square().sum()
            ),
            "It adds up absolute values. The norm here is the root of the sum of squares.": (
                lambda before, after: (after - before).abs().sum() / before.abs().sum()
            ),
            "It returns per cent: a share is not multiplied by 100.": (
                lambda before, after: 100 * (after - before).norm() / before.norm()
            ),
            "It is the mean of the ratios of single weights, to which a weight near 0 adds far "
            "too much. Divide one norm by the other.": (
                lambda before, after: ((after - before) / before).abs().mean()
            ),
        },
    ),
}

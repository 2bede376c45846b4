"""Tasks of sheet 3, learning through a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikemnist import ops

from .task import Task


def _surrogate(distance: Tensor, alpha: float) -> Tensor:
    """Return the derivative of the arctangent, by the library."""
    return ops.ATan(alpha).derivative_(distance.clone())


def _draw_distances(generator: torch.Generator) -> list[tuple[Any, ...]]:
    distance = torch.cat([torch.zeros(1), torch.randn(20, generator=generator)])
    few = torch.tensor([-0.5, 0.0, 1.0])  # short enough to be written out in a message
    return [(few, 1.0), *((distance, alpha) for alpha in (0.5, 2.0, 10.0))]


def _spike_backward(upstream: Tensor, membranes: Tensor, threshold: float, alpha: float) -> Tensor:
    """Return dL/dU from dL/dS, by the library."""
    distance = (membranes - threshold).requires_grad_()
    with torch.enable_grad():
        spikes = ops.ATan(alpha)(distance)
    return torch.autograd.grad(spikes, distance, upstream)[0]


def _draw_spikes(generator: torch.Generator) -> list[tuple[Any, ...]]:
    few = (torch.tensor([1.0, -2.0, 1.0]), torch.tensor([0.5, 1.0, 2.0]), 1.0, 2.0)
    return [few] + [
        (
            torch.randn(4, 3, generator=generator),
            threshold + torch.randn(4, 3, generator=generator),
            threshold,
            alpha,
        )
        for threshold in (0.5, 1.0)
        for alpha in (2.0, 5.0)
    ]


def _leaky_backward(
    membranes: Tensor,
    slope_of_spikes: Tensor,
    slope_of_membranes: Tensor,
    beta: float,
    threshold: float,
    alpha: float,
) -> Tensor:
    """Return dL/dI, by the library: it runs the neurons again, from the current they received."""
    before = torch.cat([torch.zeros_like(membranes[:1]), membranes[:-1]])
    current = membranes - beta * before + threshold * (before > threshold)
    with torch.enable_grad():
        results = ops.leaky(
            current.requires_grad_(), beta, threshold=threshold, spike_grad=ops.ATan(alpha)
        )
    slopes = (slope_of_spikes, slope_of_membranes)
    return torch.autograd.grad(results, current, slopes)[0]


def _recursion(
    membranes: Tensor,
    slope_of_spikes: Tensor,
    slope_of_membranes: Tensor,
    beta: float,
    threshold: float,
    alpha: float,
    *,
    direct: str = "both",
    centre: str = "threshold",
    carries: str = "beta",
    forwards: bool = False,
) -> Tensor:
    """Return dL/dI by a recursion that makes one mistake."""
    slope = _surrogate(membranes - (threshold if centre == "threshold" else 0.0), alpha)
    parts = {
        "both": slope_of_membranes + slope * slope_of_spikes,
        "no surrogate": slope_of_membranes + slope_of_spikes,
        "spikes": slope * slope_of_spikes,
        "membranes": slope_of_membranes,
    }
    through = {
        "beta": torch.full_like(slope, beta),
        "all": torch.ones_like(slope),
        "nothing": torch.zeros_like(slope),
        "reset": beta - threshold * slope,
    }
    delta, later = torch.zeros_like(membranes), torch.zeros_like(membranes[0])
    times = range(len(membranes))
    for t in times if forwards else reversed(times):
        later = delta[t] = parts[direct][t] + through[carries][t] * later
    return delta


def _without_last(
    membranes: Tensor, slope_of_spikes: Tensor, slope_of_membranes: Tensor, *settings: float
) -> Tensor:
    """Return dL/dI of a recursion that begins one timestep too early."""
    slopes = [slope.clone() for slope in (slope_of_spikes, slope_of_membranes)]
    for slope in slopes:
        slope[-1] = 0
    return _recursion(membranes, *slopes, *settings)


def _draw_layers(generator: torch.Generator) -> list[tuple[Any, ...]]:
    few = [
        torch.tensor(x).view(3, 1, 1) for x in ([0.5, 1.2, 0.1], [1.0, 2.0, 0.0], [0.0, 0.5, 1.0])
    ]
    return [(*few, 0.9, 1.0, 2.0)] + [
        (
            threshold + torch.randn(num_steps, 2, 3, generator=generator),
            torch.randn(num_steps, 2, 3, generator=generator),
            torch.randn(num_steps, 2, 3, generator=generator),
            beta,
            threshold,
            alpha,
        )
        for num_steps in (6, 1)
        for beta, threshold, alpha in ((0.9, 1.0, 2.0), (0.5, 0.5, 5.0))
    ]


class _Network(nn.Module):
    """A layer of leaky neurons, from spikes [T, B, F] to membranes [T, B, C]."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 6, generator=generator))

    def forward(self, spikes: Tensor) -> Tensor:
        return ops.leaky(ops.linear(spikes, self.weight), 0.9)[1]


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    scores: Callable[[Tensor], Tensor] = lambda membranes: membranes.mean(0),
    reduction: str = "mean",
    forgets: bool = True,
    steps: bool = True,
) -> list[float]:
    """Return the loss of each batch, before the step that follows it."""
    losses = []
    for spikes, labels in batches:
        loss = functional.cross_entropy(scores(network(spikes)), labels, reduction=reduction)
        if forgets:
            optimizer.zero_grad()
        loss.backward()
        if steps:
            optimizer.step()
        losses.append(loss.item())
    return losses


def _draw_training(generator: torch.Generator) -> list[tuple[Any, ...]]:
    cases = []
    for kind, rate in ((torch.optim.SGD, 0.5), (torch.optim.Adam, 0.1)):
        network = _Network(generator)
        batches = [
            (
                (torch.rand(5, 3, 6, generator=generator) < 0.4).float(),
                torch.randint(0, 4, (3,), generator=generator),
            )
            for _ in range(4)
        ]
        cases.append((network, kind(network.parameters(), rate), batches))
    return cases


TASKS = {
    "surrogate": Task(
        right=_surrogate,
        draw=_draw_distances,
        mistakes={
            "The inner derivative is missing: by the chain rule, multiply by pi / 2 * alpha, the "
            "derivative of what stands in the arctangent.": (
                lambda x, alpha: 1 / math.pi / (1 + (math.pi / 2 * alpha * x) ** 2)
            ),
            "The factor alpha / 2 is missing: it comes from 1 / pi and from the inner derivative, "
            "pi / 2 * alpha.": lambda x, alpha: 1 / (1 + (math.pi / 2 * alpha * x) ** 2),
            "The factor 1 / pi of the arctangent is missing.": (
                lambda x, alpha: math.pi / 2 * alpha / (1 + (math.pi / 2 * alpha * x) ** 2)
            ),
            "Only the distance is squared: square the whole product pi / 2 * alpha * distance.": (
                lambda x, alpha: alpha / 2 / (1 + math.pi / 2 * alpha * x**2)
            ),
            "Nothing is squared: the derivative of atan(z) is 1 / (1 + z ** 2).": (
                lambda x, alpha: alpha / 2 / (1 + math.pi / 2 * alpha * x)
            ),
            "It returns the smooth step itself: return its derivative.": (
                lambda x, alpha: torch.atan(math.pi / 2 * alpha * x) / math.pi + 0.5
            ),
        },
    ),
    "spike_backward": Task(
        right=_spike_backward,
        draw=_draw_spikes,
        mistakes={
            "The upstream gradient is missing: by the chain rule, multiply it by the surrogate.": (
                lambda upstream, u, threshold, alpha: _surrogate(u - threshold, alpha)
            ),
            "The surrogate is taken at the membrane: it is a function of the distance from the "
            "threshold, membranes - threshold.": (
                lambda upstream, u, threshold, alpha: upstream * _surrogate(u, alpha)
            ),
            "The upstream gradient is multiplied by the spike: multiply it by the surrogate.": (
                lambda upstream, u, threshold, alpha: upstream * (u > threshold)
            ),
            "The gradient passes only where a neuron fired: a silent neuron learns as well, so "
            "leave the spikes out.": (
                lambda upstream, u, threshold, alpha: (
                    upstream * (u > threshold) * _surrogate(u - threshold, alpha)
                )
            ),
            "It returns the upstream gradient as it came: multiply it by the surrogate.": (
                lambda upstream, *rest: upstream
            ),
        },
    ),
    "leaky_backward": Task(
        right=_leaky_backward,
        draw=_draw_layers,
        mistakes={
            "Time runs forwards: delta[t] needs delta[t + 1], so begin with the last timestep.": (
                lambda *case: _recursion(*case, forwards=True)
            ),
            "The timesteps come from the last to the first: turn the list around, [::-1].": (
                lambda *case: _recursion(*case).flip(0)
            ),
            "The last timestep is missing: nothing comes after it, but it has a gradient of its "
            "own.": _without_last,
            "Beta is missing: what comes from the next timestep is beta * delta[t + 1].": (
                lambda *case: _recursion(*case, carries="all")
            ),
            "Nothing comes from the next timestep: add beta * delta[t + 1].": (
                lambda *case: _recursion(*case, carries="nothing")
            ),
            "The gradient flows through the reset as well: here the reset is a constant, and the "
            "next membrane passes on beta * delta[t + 1] alone.": (
                lambda *case: _recursion(*case, carries="reset")
            ),
            "The surrogate is taken at the membrane: it is a function of the distance from the "
            "threshold.": lambda *case: _recursion(*case, centre="zero"),
            "The gradient of the spikes is not multiplied by the surrogate.": (
                lambda *case: _recursion(*case, direct="no surrogate")
            ),
            "The gradient of the membranes is missing: a loss may depend on a membrane "
            "directly.": lambda *case: _recursion(*case, direct="spikes"),
            "The gradient of the spikes is missing: multiply it by the surrogate, and add it.": (
                lambda *case: _recursion(*case, direct="membranes")
            ),
        },
    ),
    "train_epoch": Task(
        right=_train_epoch,
        draw=_draw_training,
        mistakes={
            "The gradients of all batches add up: call optimizer.zero_grad() before "
            "loss.backward().": lambda *case: _train_epoch(*case, forgets=False),
            "The weights never change: call optimizer.step() after loss.backward(), and "
            "optimizer.zero_grad() before it.": lambda *case: _train_epoch(*case, steps=False),
            "The membranes are added over time: the score is their mean, membranes.mean(0).": (
                lambda *case: _train_epoch(*case, scores=lambda u: u.sum(0))
            ),
            "Only the membranes of the last timestep count: take the mean over time.": (
                lambda *case: _train_epoch(*case, scores=lambda u: u[-1])
            ),
            "The losses of a batch are added: take their mean, as cross_entropy does by itself.": (
                lambda *case: _train_epoch(*case, reduction="sum")
            ),
            "The softmax is taken twice: cross_entropy takes scores, and takes the softmax "
            "itself.": lambda *case: _train_epoch(*case, scores=lambda u: u.mean(0).softmax(-1)),
        },
    ),
}

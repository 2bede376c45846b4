"""Tasks of sheet 2, one neuron."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from spikemnist import ops

from .task import Task


def _neuron(current: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes [T, N], by the library."""
    spikes, membranes = ops.leaky(current[:, None], beta, threshold=threshold)
    return spikes[:, 0], membranes[:, 0]


def _loop(
    current: Tensor,
    beta: float,
    threshold: float,
    *,
    decay: str = "membrane",
    reset: str = "next timestep",
    fires: str = "above",
    first: str = "as all",
) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes of a neuron that makes one mistake."""
    membrane = spike = torch.zeros_like(current[0])
    steps = []
    for inflow in current:
        before = membrane
        if decay == "scaled current":
            inflow = (1 - beta) * inflow
        kept = beta * membrane
        if reset == "before decay":
            kept = beta * (membrane - threshold * spike)
        elif reset == "to zero":
            kept = kept * (1 - spike)
        elif decay == "all":
            kept = torch.zeros_like(membrane)
        elif decay == "none":
            kept = membrane
        membrane = kept + inflow
        if reset in ("next timestep", "by one"):
            membrane = membrane - (threshold if reset == "next timestep" else 1.0) * spike
        seen = before if fires == "before" else membrane
        spike = (seen >= threshold if fires == "at" else seen > threshold).float()
        if not steps and first != "as all":
            spike = torch.zeros_like(spike)
            membrane = membrane if first == "silent" else torch.zeros_like(membrane)
        if reset == "same timestep":
            membrane = membrane - threshold * spike
        elif reset == "same timestep, to zero":
            membrane = membrane * (1 - spike)
        steps.append((spike, membrane))
    spikes, membranes = (torch.stack(each) for each in zip(*steps, strict=True))
    return spikes, membranes


def _one_tensor(current: Tensor, beta: float, threshold: float) -> tuple[Tensor, Tensor]:
    """Return the right spikes, and the last membrane for each timestep."""
    spikes, membranes = _neuron(current, beta, threshold)
    return spikes, membranes[-1:].expand_as(membranes)


def _draw_currents(generator: torch.Generator) -> list[tuple[Any, ...]]:
    # The first case is short enough to be written out in a message.
    cases: list[tuple[Any, ...]] = [(torch.tensor([[1.6], [0.5], [0.9], [0.0]]), 0.5, 1.0)]
    cases += [
        (torch.randn(20, 6, generator=generator) * 0.6 + 0.4, beta, threshold)
        for beta in (0.5, 0.9, 0.95)
        for threshold in (0.5, 1.0, 1.5)
    ]
    # A membrane that meets the threshold exactly does not fire.
    cases.append((torch.tensor([[0.5, 1.0], [0.75, 1.0], [0.0, 0.0]]), 0.5, 1.0))
    cases.append((torch.full((1, 3), 2.0), 0.9, 1.0))  # one timestep
    return cases


def _rates(currents: Tensor, beta: float, threshold: float, num_steps: int) -> Tensor:
    """Return the spikes per timestep [N], by the library."""
    spikes, _ = ops.leaky(currents.expand(num_steps, 1, -1), beta, threshold=threshold)
    return spikes[:, 0].mean(0)


def _impulse_rates(currents: Tensor, beta: float, threshold: float, num_steps: int) -> Tensor:
    """Return the rates of neurons that receive their current in the first timestep alone."""
    inflow = torch.zeros(num_steps, len(currents))
    inflow[0] = currents
    return _neuron(inflow, beta, threshold)[0].mean(0)


def _draw_rates(generator: torch.Generator) -> list[tuple[Any, ...]]:
    return [
        (torch.rand(7, generator=generator) * 2 * threshold, beta, threshold, num_steps)
        for beta, threshold in ((0.5, 1.0), (0.9, 0.5), (0.95, 1.5))
        for num_steps in (50, 1)
    ]


def _interval(current: float, beta: float, threshold: float) -> float:
    """Return the timesteps from rest to a spike: those that the library takes."""
    for num_steps in (30, 500):
        inflow = torch.full((num_steps, 1, 1), current, dtype=torch.float64)
        spikes, _ = ops.leaky(inflow, beta, threshold=threshold)
        if spikes.any():
            return float(spikes.flatten().argmax()) + 1
    return math.inf


def _formula(
    current: float,
    beta: float,
    threshold: float,
    *,
    weakest: str = "right",
    whole: str = "above",
    silent: float = math.inf,
) -> float:
    """Return the timesteps from rest to a spike by a formula that makes one mistake."""
    rheobase = {"right": threshold * (1 - beta), "no leak": threshold, "no threshold": 1 - beta}
    share = 1 - rheobase[weakest] / current
    if share <= 0:
        return silent
    timesteps = math.log(share) / math.log(beta)
    rounded = {
        "above": math.floor(timesteps) + 1,
        "below": math.floor(timesteps),
        "not below": math.ceil(timesteps),
    }
    return rounded.get(whole, timesteps)


def _draw_constant(generator: torch.Generator) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = []
    for beta in (0.5, 0.8, 0.95):
        for threshold in (0.5, 1.5):
            above = 1.01 + 4 * torch.rand(3, generator=generator).double()
            cases += [(threshold * (1 - beta) * float(x), beta, threshold) for x in above]
            cases.append((1.1 * threshold, beta, threshold))  # fires at once
            cases.append((0.9 * threshold * (1 - beta), beta, threshold))  # never fires
    cases.append((1.0, 0.5, 1.5))  # is at the threshold after two timesteps, and fires in the third
    cases.append((0.5, 0.5, 1.0))  # comes as near to the threshold as one likes, and never fires
    return cases


def _decay(tau: float, timestep: float) -> float:
    """Return beta by the definition of the library's guide."""
    return math.exp(-timestep / tau)


def _draw_times(generator: torch.Generator) -> list[tuple[Any, ...]]:
    return [(tau, timestep) for tau in (2.0, 10.0, 20.0) for timestep in (0.5, 1.0, 3.0)]


TASKS = {
    "neuron": Task(
        right=_neuron,
        draw=_draw_currents,
        mistakes={
            "The reset happens in the same timestep; here it belongs to the next: subtract the "
            "threshold in the timestep after the spike, and return the membrane that crossed "
            "it.": lambda *case: _loop(*case, reset="same timestep"),
            "The membrane becomes zero in the timestep of its spike; here the threshold is "
            "subtracted, and one timestep later: return the membrane that crossed it.": (
                lambda *case: _loop(*case, reset="same timestep, to zero")
            ),
            "The membrane is never reset: subtract threshold * spike, with the spike of the "
            "timestep before.": lambda *case: _loop(*case, reset="never"),
            "A spike sets the membrane to zero; here it subtracts the threshold, and what was "
            "above the threshold is kept.": lambda *case: _loop(*case, reset="to zero"),
            "A spike subtracts 1 from the membrane: subtract the threshold, which is not always "
            "1.": lambda *case: _loop(*case, reset="by one"),
            "The threshold is subtracted before the decay, and decays as well: multiply the "
            "membrane alone by beta, then subtract the threshold.": (
                lambda *case: _loop(*case, reset="before decay")
            ),
            "A membrane that meets the threshold exactly fires: compare with >, not >=.": (
                lambda *case: _loop(*case, fires="at")
            ),
            "The spike comes from the membrane of the timestep before: compute the new membrane "
            "first, then compare it with the threshold.": (
                lambda *case: _loop(*case, fires="before")
            ),
            "The current is multiplied by 1 - beta: here the whole current is added, as the "
            "weights set its scale.": lambda *case: _loop(*case, decay="scaled current"),
            "The first timestep is missing: the loop begins at t = 0, and the first current "
            "counts.": lambda *case: _loop(*case, first="missing"),
            "No neuron fires in the first timestep: compare that membrane with the threshold, "
            "too.": lambda *case: _loop(*case, first="silent"),
            "Every timestep has the membrane of the last one: mem += ... writes into the tensor "
            "that your list holds; write mem = beta * mem + ...": _one_tensor,
            "The spikes come first, and then the membranes: return them in this order.": (
                lambda *case: _neuron(*case)[::-1]
            ),
            "The membrane does not leak: multiply the membrane of the timestep before by beta.": (
                lambda *case: _loop(*case, decay="none")
            ),
            "The neuron forgets its membrane from one timestep to the next: keep beta * membrane, "
            "and set the membrane to zero once, before the loop.": (
                lambda *case: _loop(*case, decay="all")
            ),
        },
    ),
    "firing_rates": Task(
        right=_rates,
        draw=_draw_rates,
        mistakes={
            "It returns numbers of spikes: divide by the number of timesteps, or take the mean "
            "over time.": lambda *case: _rates(*case) * case[-1],
            "The current comes in the first timestep alone: give the neurons the same current in "
            "each timestep.": _impulse_rates,
            "It returns the mean membrane: the first of the two results of neuron is the spikes.": (
                lambda currents, beta, threshold, num_steps: _neuron(
                    currents.expand(num_steps, -1), beta, threshold
                )[1].mean(0)
            ),
        },
    ),
    "interval": Task(
        right=_interval,
        draw=_draw_constant,
        mistakes={
            "The number of timesteps is not whole: the spike comes in the first whole timestep "
            "after that moment, math.floor(...) + 1.": lambda *case: _formula(*case, whole="no"),
            "The interval is one timestep too short: n must be above the fraction, so it is "
            "math.floor(...) + 1.": lambda *case: _formula(*case, whole="below"),
            "A fraction that is a whole number is rounded to itself: n must be above it, so it is "
            "math.floor(...) + 1 and not math.ceil(...).": (
                lambda *case: _formula(*case, whole="not below")
            ),
            "The leak is forgotten in the weakest current: it is threshold * (1 - beta).": (
                lambda *case: _formula(*case, weakest="no leak")
            ),
            "The threshold is taken to be 1: the weakest current is threshold * (1 - beta).": (
                lambda *case: _formula(*case, weakest="no threshold")
            ),
            "A neuron that never fires has the interval 0: return math.inf.": (
                lambda *case: _formula(*case, silent=0)
            ),
        },
    ),
    "decay": Task(
        right=_decay,
        draw=_draw_times,
        mistakes={
            "It returns 1 - timestep / tau, which is Euler's approximation and good for short "
            "timesteps alone: return the exponential.": lambda tau, timestep: 1 - timestep / tau,
            "The length of the timestep is missing: it is exp(-timestep / tau).": (
                lambda tau, timestep: math.exp(-1 / tau)
            ),
            "The fraction is upside down: a long timestep forgets more, exp(-timestep / tau).": (
                lambda tau, timestep: math.exp(-tau / timestep)
            ),
            "The minus is missing: the membrane grows. It is exp(-timestep / tau).": (
                lambda tau, timestep: math.exp(timestep / tau)
            ),
            "It returns the share that is lost in a timestep: beta is the share that is kept.": (
                lambda tau, timestep: 1 - math.exp(-timestep / tau)
            ),
        },
    ),
}

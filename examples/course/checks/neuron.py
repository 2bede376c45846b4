"""Tasks of sheet 2, one neuron."""

from __future__ import annotations

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
) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes of a neuron that makes one mistake."""
    membrane = spike = torch.zeros_like(current[0])
    steps = []
    for inflow in current:
        before = membrane
        if decay == "both":
            inflow = (1 - beta) * inflow
        membrane = (0.0 if decay == "all" else 1.0 if decay == "none" else beta) * membrane + inflow
        if reset == "next timestep":
            membrane = membrane - threshold * spike
        elif reset == "by one":
            membrane = membrane - spike
        elif reset == "to zero":
            membrane = torch.where(spike > 0, inflow, membrane)
        seen = before if fires == "before" else membrane
        spike = (seen >= threshold if fires == "at" else seen > threshold).float()
        if reset == "same timestep":
            membrane = membrane - threshold * spike
        steps.append((spike, membrane))
    spikes, membranes = (torch.stack(each) for each in zip(*steps, strict=True))
    return spikes, membranes


def _draw(generator: torch.Generator) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [
        (torch.randn(20, 6, generator=generator) * 0.6 + 0.4, beta, threshold)
        for beta in (0.5, 0.9, 0.95)
        for threshold in (0.5, 1.0, 1.5)
    ]
    # A membrane that meets the threshold exactly does not fire.
    cases.append((torch.tensor([[0.5, 1.0], [0.75, 1.0], [0.0, 0.0]]), 0.5, 1.0))
    return cases


TASKS = {
    "neuron": Task(
        right=_neuron,
        draw=_draw,
        mistakes={
            "The reset happens in the same timestep; here it belongs to the next: subtract the "
            "threshold in the timestep after the spike, and keep the membrane that crossed it.": (
                lambda *case: _loop(*case, reset="same timestep")
            ),
            "The membrane is never reset: subtract threshold * spike, with the spike of the "
            "timestep before.": lambda *case: _loop(*case, reset="never"),
        },
    ),
}

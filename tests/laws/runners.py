"""All that runs a stack of layers: what must agree, and what it must agree with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from spikemnist.ops.layer import LayerOutput
from tests.laws.layers import Run, by_accelerate, by_reference
from tests.laws.stacks import PARTS, Stack
from tests.rooms import of_rooms

OUTPUTS = ("spikes", "membrane", "final")

RUNNERS: dict[str, Run] = {
    "reference": by_reference,
    **dict(of_rooms("RUNNERS")),
    "accelerate": by_accelerate,
}
RUNNER = pytest.mark.parametrize("runner", RUNNERS)
INTERPRETED = [
    pytest.mark.usefixtures("interpreted"),
    # The interpreter of Triton 3.4 uses what NumPy deprecates.
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),
]
"""Marks for tests that run Triton's kernels in NumPy."""


@dataclass
class Answer:
    """Output of all layers, detached, and the gradients of a loss by the name of a leaf."""

    layers: list[LayerOutput]
    gradients: dict[str, Tensor | None]


def run(runner: str, given: Stack) -> list[LayerOutput]:
    """Run a stack as it is."""
    return RUNNERS[runner](given.spikes, given.layers, record=given.record, final=given.final)


def leaves_of(given: Stack) -> tuple[Stack, dict[str, Tensor]]:
    """Return a copy of a stack whose tensors, the input among them, all require gradients."""
    leaves, layers = {}, []
    for index, params in enumerate(given.layers):
        parts = {part: getattr(params, part) for part in PARTS}
        own = {
            part: value.detach().clone().requires_grad_()
            for part, value in parts.items()
            if value is not None
        }
        leaves |= {f"{part} {index}": leaf for part, leaf in own.items()}
        layers.append(replace(params, **own))
    fed = given.spikes
    if fed.is_floating_point():
        fed = leaves["input"] = fed.detach().clone().requires_grad_()
    return replace(given, spikes=fed, layers=layers), leaves


def answer(run: Run, given: Stack, towards: list[dict[str, Tensor]]) -> Answer:
    """Run fresh leaves, and differentiate the sum of the outputs times ``towards``."""
    own, leaves = leaves_of(given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outputs = run(own.spikes, own.layers, record=own.record, final=own.final)
    loss = loss_of(outputs, towards)
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return Answer([detach(one) for one in outputs], dict(zip(leaves, gradients, strict=True)))


def loss_of(outputs: Sequence[LayerOutput], towards: list[dict[str, Tensor]]) -> Tensor:
    terms = [
        (getattr(one, name) * weights).sum()
        for one, weights_of_one in zip(outputs, towards, strict=True)
        for name, weights in weights_of_one.items()
    ]
    return torch.stack(terms).sum()


def loss_weights(
    given: Stack, outputs: Sequence[str] = OUTPUTS, *, integral: bool = False
) -> list[dict[str, Tensor]]:
    """Draw for each layer what multiplies its outputs, those that are recorded, in a loss."""
    random = torch.Generator().manual_seed(1)
    steps, batch, *size = given.spikes.shape
    drawn: list[dict[str, Tensor]] = []
    for params in given.layers:
        size = size if params.weight is None else [len(params.weight)]
        dtype = params.beta.dtype
        shapes = dict.fromkeys(("spikes", "membrane"), (steps, batch, *size))
        shapes["final"] = (batch, *size)
        numbers = {
            name: torch.randint(-2, 3, shape, generator=random).to(dtype)
            if integral
            else torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)
            for name, shape in shapes.items()
        }
        recorded = given.record == "all" or params is given.layers[-1]
        flags = {"spikes": recorded, "membrane": recorded, "final": given.final}
        drawn.append({name: numbers[name] for name in outputs if flags[name]})
    return drawn


def detach(one: LayerOutput) -> LayerOutput:
    values = {name: getattr(one, name) for name in OUTPUTS}
    return replace(
        one, **{name: value.detach() for name, value in values.items() if value is not None}
    )

"""Stacks of layers to run, and three ways to run them: the engine, the reference, snnTorch.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from spikemnist import engine, ops
from spikemnist.ops.dropout import drop_out
from spikemnist.ops.layer import LayerOutput, LayerParams
from tests.ops.oracle import our_leaky, snntorch_leaky

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Run = Callable[..., list[LayerOutput]]

PARTS = ("weight", "bias", "beta", "threshold", "initial")
OUTPUTS = ("spikes", "membrane", "final")


@dataclass(frozen=True)
class Stack:
    """Layers, what they are fed, ``[T, B, F]``, and what is asked of them."""

    spikes: Tensor
    layers: list[LayerParams]
    record: str = "output"
    final: bool = False


def spikes(
    steps: int,
    batch: int,
    features: int,
    *,
    density: float = 0.3,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, features, generator=random) < density).to(dtype)


def layer(
    neurons: int,
    features: int,
    *,
    numbers: str = "any",
    density: float = 0.3,
    seed: int = 0,
    batch: int | None = None,
    bias: bool = True,
    beta: float | None = None,
    threshold: float | None = None,
    reset_mechanism: str = "subtract",
    spike_grad: str | ops.Surrogate = "atan",
    dropout: float = 0.0,
    dtype: torch.dtype = torch.float64,
) -> LayerParams:
    """Draw a layer whose neurons fire, in about every third timestep, at a density of its input.

    The weights are ``"any"`` numbers; or small integers times a power of two (``"short"``), so
    that their sums are exact in whatever order; or whole numbers, and so is all else (``"whole"``).
    ``beta`` and ``threshold`` are drawn for each neuron where they are None, the betas from
    beyond [0, 1]. Membranes to start from, some above the threshold, are drawn for ``batch``
    samples.
    """
    random = torch.Generator().manual_seed(seed)
    spread = math.sqrt(max(1.0, features * density))

    def uniform(low: float, high: float, *size: int) -> Tensor:
        return torch.rand(size, generator=random, dtype=torch.float64) * (high - low) + low

    def integers(low: int, high: int, *size: int) -> Tensor:
        return torch.randint(low, high + 1, size, generator=random, dtype=torch.float64)

    if numbers == "any":
        weight, shift = uniform(-2, 2.4, neurons, features) / spread, uniform(-0.1, 0.5, neurons)
    elif numbers == "short":
        weight = integers(-8, 9, neurons, features) / 4 * 2.0 ** -round(math.log2(spread))
        shift = integers(-1, 4, neurons) / 8
    else:
        weight, shift = integers(-2, 2, neurons, features), integers(-1, 2, neurons)
    if numbers == "whole":
        betas, thresholds = integers(0, 1, neurons), integers(1, 3, neurons)
        start = None if batch is None else integers(-2, 5, batch, neurons)
    else:
        betas, thresholds = uniform(-0.2, 1.2, neurons), uniform(0.3, 1.5, neurons)
        start = None if batch is None else uniform(-1, 3, batch, neurons)
    drawn = LayerParams(
        weight=weight,
        bias=shift if bias else None,
        beta=betas if beta is None else torch.tensor(beta, dtype=torch.float64),
        threshold=thresholds if threshold is None else torch.tensor(threshold, dtype=torch.float64),
        reset_mechanism=reset_mechanism,
        spike_grad=ops.get_surrogate(spike_grad),
        initial=start,
        dropout=dropout,
    )
    return cast(drawn, dtype)


def cast(drawn: LayerParams, dtype: torch.dtype) -> LayerParams:
    parts = {part: getattr(drawn, part) for part in PARTS}
    return replace(
        drawn, **{part: value.to(dtype) for part, value in parts.items() if value is not None}
    )


def stack(
    sizes: Sequence[int],
    *,
    steps: int = 7,
    batch: int = 3,
    density: float = 0.3,
    seed: int = 0,
    record: str = "output",
    final: bool = False,
    initial: bool = False,
    dropout: float = 0.0,
    **options: Any,
) -> Stack:
    """Draw a stack: ``sizes`` are the features of its input and the neurons of its layers."""
    layers = [
        layer(
            neurons,
            features,
            density=density if index == 0 else 0.3,
            seed=seed + index,
            batch=batch if initial else None,
            dropout=dropout if index else 0.0,  # the engine takes an input as it is
            **options,
        )
        for index, (features, neurons) in enumerate(itertools.pairwise(sizes))
    ]
    fed = spikes(steps, batch, sizes[0], density=density, seed=seed)
    return Stack(fed, layers, record, final)


def by_engine(
    spikes: Tensor, layers: Sequence[LayerParams], *, record: str, final: bool
) -> list[LayerOutput]:
    return engine.run(layers, spikes, record=record, final=final)


def _layer_by_layer(leaky: Callable[..., tuple[Tensor, Tensor]]) -> Run:
    """Return a way to run: dense weights, and then ``leaky``; everything is returned."""

    def run(spikes: Tensor, layers: Sequence[LayerParams], **_: Any) -> list[LayerOutput]:
        outputs = []
        for params in layers:
            dropped = drop_out(spikes.flatten(0, 1), params.dropout)
            spikes = dropped.view(spikes.shape)
            if params.weight is None:
                current = spikes.to(params.beta.dtype)
            else:
                current = ops.linear(spikes, params.weight, params.bias)
            fired, membrane = leaky(
                current,
                params.beta,
                params.threshold,
                params.initial,
                params.reset_mechanism,
                params.spike_grad,
            )
            counts = fired.detach().sum((0, 2)).long()
            shape = tuple(fired.shape[2:])
            outputs.append(LayerOutput(fired, membrane, counts, membrane[-1], shape))
            spikes = fired
        return outputs

    return run


by_reference, by_snntorch = _layer_by_layer(our_leaky), _layer_by_layer(snntorch_leaky)


@dataclass
class Answer:
    """What the layers did, detached, and the gradients of a loss by the name of a leaf."""

    activities: list[LayerOutput]
    gradients: dict[str, Tensor | None]


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
        (getattr(one, name) * weights.to(one.counts.device)).sum()
        for one, wanted in zip(outputs, towards, strict=True)
        for name, weights in wanted.items()
    ]
    return torch.stack(terms).sum()


def loss_weights(
    given: Stack, outputs: Sequence[str] = OUTPUTS, *, integral: bool = False
) -> list[dict[str, Tensor]]:
    """Draw for each layer what multiplies its outputs, those that are recorded, in a loss."""
    random = torch.Generator().manual_seed(1)
    steps, batch, size = given.spikes.shape
    drawn: list[dict[str, Tensor]] = []
    for params in given.layers:
        size = size if params.weight is None else len(params.weight)
        dtype = params.beta.dtype
        shapes = dict.fromkeys(("spikes", "membrane"), (steps, batch, size))
        shapes["final"] = (batch, size)
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

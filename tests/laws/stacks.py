"""Stacks of layers to run, and strategies that draw them.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from spikemnist import ops
from spikemnist.ops.layer import LayerParams
from tests.strategies import ODD_SIZES, SEEDS

PARTS = ("weight", "bias", "beta", "threshold", "initial")
SURROGATES = [
    *(kind() for kind in ops.SURROGATES.values()),
    ops.ATan(alpha=5.0),
    ops.FastSigmoid(slope=3.0),
    ops.SparseFastSigmoid(slope=4.0, cutoff=-0.3),
    ops.Sigmoid(slope=2.0),
    ops.Triangular(threshold=0.5),
    ops.SpikeRateEscape(beta=2.0, slope=3.0),
]
"""Those that all kernels know."""


@dataclass(frozen=True)
class Stack:
    """Layers, their input ``[T, B, F]``, and what is recorded of them.

    The currents of an ``exact`` stack are the same bits in whatever order they are summed.
    """

    spikes: Tensor
    layers: list[LayerParams]
    record: str = "output"
    final: bool = False
    exact: bool = False

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Let Hypothesis print sizes and options of a failing example in place of all numbers."""
        neurons = [
            f"{tuple(one.beta.shape) if one.weight is None else tuple(one.weight.shape)}"
            f" {one.reset_mechanism} {one.spike_grad} bias={one.bias is not None}"
            f" initial={one.initial is not None} dropout={one.dropout} {one.beta.dtype}"
            for one in self.layers
        ]
        printer.text(
            f"Stack({tuple(self.spikes.shape)}, {neurons}, {self.record}, final={self.final})"
        )

    def to(self, dtype: torch.dtype) -> Stack:
        """Return the stack with other parameters; the input of neurons without weights, too."""
        bare = self.layers[0].weight is None
        fed = self.spikes.to(dtype) if bare else self.spikes
        return replace(self, spikes=fed, layers=[cast(one, dtype) for one in self.layers])


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
    return Stack(fed, layers, record, final, exact=options.get("numbers", "any") != "any")


def neurons(
    shape: tuple[int, ...],
    *,
    seed: int = 0,
    parameter_shape: tuple[int, ...] | None = None,
    initial: bool = True,
    beta: float | None = None,
    threshold: float | None = None,
    reset_mechanism: str = "subtract",
    spike_grad: str | Callable[[Tensor], Tensor] = "atan",
) -> Stack:
    """Draw one layer without weights, whose input ``[T, B, ...]`` is its current, in float64.

    Neurons fire in about every third timestep. ``beta`` and ``threshold`` are drawn for each
    neuron where they are None, the betas from beyond [0, 1], and membranes to start from, some
    above the threshold.
    """
    random = torch.Generator().manual_seed(seed)
    wide = shape[2:] if parameter_shape is None else parameter_shape

    def uniform(low: float, high: float, size: tuple[int, ...]) -> Tensor:
        return torch.rand(size, generator=random, dtype=torch.float64) * (high - low) + low

    current = torch.randn(shape, generator=random, dtype=torch.float64) * 0.8 + 0.3
    betas, thresholds = uniform(-0.2, 1.2, wide), uniform(0.3, 1.5, wide)
    params = LayerParams(
        beta=betas if beta is None else torch.tensor(beta, dtype=torch.float64),
        threshold=thresholds if threshold is None else torch.tensor(threshold, dtype=torch.float64),
        reset_mechanism=reset_mechanism,
        spike_grad=ops.get_surrogate(spike_grad) if isinstance(spike_grad, str) else spike_grad,
        initial=uniform(-1, 3, shape[1:]) if initial else None,
    )
    return Stack(current, [params], record="all", final=True, exact=True)


@st.composite
def any_neurons(draw: st.DrawFn) -> Stack:
    """Draw one layer without weights, of any size, reset, surrogate and kind of parameters."""
    return neurons(
        (draw(st.integers(1, 12)), draw(st.integers(0, 3)), draw(st.sampled_from(ODD_SIZES))),
        seed=draw(SEEDS),
        reset_mechanism=draw(st.sampled_from(ops.RESET_MECHANISMS)),
        spike_grad=draw(st.sampled_from(SURROGATES)),
        beta=draw(st.sampled_from([None, 0.0, 0.5, 0.95, 1.0, 1.5, -0.5])),
        threshold=draw(st.sampled_from([None, 0.25, 1.0])),
        initial=draw(st.booleans()),
    )


@st.composite
def any_stack(
    draw: st.DrawFn, numbers: Sequence[str], surrogates: Sequence[ops.Surrogate] = SURROGATES
) -> Stack:
    """Draw one to three layers, each with a reset, a surrogate and parameters of its own.

    Those of any numbers, which run in float64, all have a membrane to start from: the engine
    compiles its kernels once for what is absent, in float32, and once for everything in float64.
    """
    kind = draw(st.sampled_from(numbers))
    steps = draw(st.integers(1, 9) | st.sampled_from([63, 64, 65, 70]))
    batch = draw(st.integers(0, 5))
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 0.5, 1.0]))
    sizes = draw(
        st.lists(st.sampled_from([1, 2, 5, 16, 17, 63, 64, 65, 130, 257]), min_size=2, max_size=4)
    )
    seed = draw(SEEDS)
    layers = [
        layer(
            neurons,
            features,
            numbers=kind,
            density=density if index == 0 else 0.3,
            seed=seed + index,
            batch=batch if kind == "any" or draw(st.booleans()) else None,
            bias=draw(st.booleans()),
            beta=draw(st.sampled_from([None, 0.0, 1.0] + [0.5, 0.95, 1.5] * (kind != "whole"))),
            threshold=draw(st.sampled_from([None, 1.0])),
            reset_mechanism=draw(st.sampled_from(ops.RESET_MECHANISMS)),
            spike_grad=draw(st.sampled_from(surrogates)),
            dropout=draw(st.sampled_from([0.0, 0.0, 0.5])) if index else 0.0,
        )
        for index, (features, neurons) in enumerate(itertools.pairwise(sizes))
    ]
    fed = spikes(steps, batch, sizes[0], density=density, seed=seed)
    record, final = draw(st.sampled_from(["output", "all"])), draw(st.booleans())
    return Stack(fed, layers, record, final, exact=kind != "any")

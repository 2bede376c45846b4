"""Hypothesis strategies that several test modules share.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from hypothesis import strategies as st
from torch import Tensor

from spikemnist import ops
from spikemnist.engine.slopes import FORMULAS

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS = st.integers(0, 2**32 - 1)
ODD_SIZES = (1, 63, 257)


def pixels(*, min_batch: int = 0) -> st.SearchStrategy[Tensor]:
    """Grey images ``[B, ...]``, uint8, of any trailing shape."""
    trailing = st.lists(st.integers(1, 5), max_size=3)
    return st.tuples(st.integers(min_batch, 4), trailing).flatmap(
        lambda shape: _bytes((shape[0], *shape[1]))
    )


def _bytes(shape: tuple[int, ...]) -> st.SearchStrategy[Tensor]:
    count = torch.Size(shape).numel()
    return st.binary(min_size=count, max_size=count).map(
        lambda raw: torch.tensor(list(raw), dtype=torch.uint8).reshape(shape)
    )


@dataclass
class LeakyProblem:
    """Arguments of `spikemnist.ops.leaky`, float64."""

    current: Tensor
    beta: Tensor
    threshold: Tensor
    initial: Tensor | None
    reset_mechanism: str
    spike_grad: str | Callable[[Tensor], Tensor]

    def to(self, dtype: torch.dtype) -> LeakyProblem:
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: value.to(dtype) for name, value in tensors.items()})


def leaky_problem(
    shape: tuple[int, ...],
    *,
    seed: int = 0,
    reset_mechanism: str = "subtract",
    spike_grad: str | Callable[[Tensor], Tensor] = "atan",
    beta: float | None = None,
    threshold: float | None = None,
    initial: bool = True,
    parameter_shape: tuple[int, ...] | None = None,
) -> LeakyProblem:
    """Draw a problem in which neurons fire in about every third timestep.

    ``beta`` and ``threshold`` are numbers, or drawn for each neuron where they are ``None``;
    drawn betas reach outside [0, 1] and drawn initial membranes above the threshold.
    """
    random = torch.Generator().manual_seed(seed)
    wide = shape[2:] if parameter_shape is None else parameter_shape

    def uniform(low: float, high: float, size: tuple[int, ...]) -> Tensor:
        return torch.rand(size, generator=random, dtype=torch.float64) * (high - low) + low

    return LeakyProblem(
        current=torch.randn(shape, generator=random, dtype=torch.float64) * 0.8 + 0.3,
        beta=uniform(-0.2, 1.2, wide) if beta is None else torch.tensor(beta, dtype=torch.float64),
        threshold=uniform(0.3, 1.5, wide)
        if threshold is None
        else torch.tensor(threshold, dtype=torch.float64),
        initial=uniform(-1, 3, shape[1:]) if initial else None,
        reset_mechanism=reset_mechanism,
        spike_grad=spike_grad,
    )


def leaky_problems() -> st.SearchStrategy[LeakyProblem]:
    """Problems of all sizes, resets, surrogates and kinds of parameters."""
    neurons = st.sampled_from([(n,) for n in (*ODD_SIZES, 2, 5)] + [(), (2, 3, 3)])
    return st.builds(
        lambda steps, batch, shape, **options: leaky_problem((steps, batch, *shape), **options),
        st.integers(1, 12),
        st.integers(0, 3),
        neurons,
        seed=SEEDS,
        reset_mechanism=st.sampled_from(ops.RESET_MECHANISMS),
        spike_grad=st.sampled_from(sorted(kind.name for kind in FORMULAS)),
        beta=st.sampled_from([None, 0.0, 0.5, 0.95, 1.0, 1.5, -0.5]),
        threshold=st.sampled_from([None, 0.25, 1.0]),
        initial=st.booleans(),
    )

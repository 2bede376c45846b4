"""The surrogate derivatives of `spikemnist.ops.surrogate`, fused into the backward kernel.

Each multiplies a row of gradients, and has up to two parameters. The formulas are explained in
`spikemnist.ops.surrogate`; the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spikemnist.kernels.elementwise import exp, switch, where
from spikemnist.ops.surrogate import (
    ATan,
    FastSigmoid,
    Heaviside,
    Sigmoid,
    SparseFastSigmoid,
    SpikeRateEscape,
    StraightThrough,
    Surrogate,
    Triangular,
)


def slope_of(surrogate: Callable[..., Any]) -> tuple[int, float, float]:
    """Return the code of a surrogate and its parameters, as `through_spikes` takes them."""
    assert isinstance(surrogate, Surrogate)  # `runners.KNOWN` has refused others
    return (_CODES[type(surrogate)], *surrogate.constants)


def _atan(gradient: Any, membrane: Any, threshold: Any, scale: Any, height: Any) -> Any:
    x = scale * (membrane - threshold)
    return gradient * (height / (1 + x * x))


def _fast_sigmoid(gradient: Any, membrane: Any, threshold: Any, slope: Any, _: Any) -> Any:
    root = 1 + slope * abs(membrane - threshold)
    return gradient * (1 / (root * root))


def _sparse_fast_sigmoid(
    gradient: Any, membrane: Any, threshold: Any, slope: Any, cutoff: Any
) -> Any:
    x = membrane - threshold
    root = 1 + slope * abs(x)
    return gradient * where(x > cutoff, 1 / (root * root), 0)


def _sigmoid(gradient: Any, membrane: Any, threshold: Any, slope: Any, _: Any) -> Any:
    # Even in x, so evaluated at -|x|, where the exponential does not overflow.
    decay = exp(-(slope * abs(membrane - threshold)))
    root = 1 + decay
    return gradient * (slope * decay / (root * root))


def _straight_through(gradient: Any, membrane: Any, threshold: Any, _: Any, __: Any) -> Any:
    return gradient


def _triangular(gradient: Any, membrane: Any, threshold: Any, height: Any, _: Any) -> Any:
    return gradient * where(membrane - threshold < 0, height, -height)


def _heaviside(gradient: Any, membrane: Any, threshold: Any, _: Any, __: Any) -> Any:
    return gradient * where(membrane > threshold, 1, gradient * 0)


def _spike_rate_escape(gradient: Any, membrane: Any, threshold: Any, beta: Any, slope: Any) -> Any:
    return gradient * (slope * exp(-(beta * abs(membrane - threshold - 1))))


FORMULAS: dict[type[Surrogate], Callable[..., Any]] = {
    ATan: _atan,
    FastSigmoid: _fast_sigmoid,
    SparseFastSigmoid: _sparse_fast_sigmoid,
    Sigmoid: _sigmoid,
    StraightThrough: _straight_through,
    Triangular: _triangular,
    Heaviside: _heaviside,
    SpikeRateEscape: _spike_rate_escape,
}
"""The formula of each surrogate that the engine has."""

_CODES = {kind: code for code, kind in enumerate(FORMULAS)}
"""Position of each formula, by which kernels choose it."""


through_spikes: Callable[..., None] = switch(tuple(FORMULAS.values()))
"""``through_spikes(kind, out, gradient, membrane, threshold, first, second)`` multiplies a row of
gradients of the spikes by the surrogate derivative."""

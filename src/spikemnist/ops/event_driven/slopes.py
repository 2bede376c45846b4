"""The surrogate derivatives of `spikemnist.ops.surrogate`, fused into the backward kernel.

Each multiplies a row of gradients, and has up to two parameters. The formulas are explained in
`spikemnist.ops.surrogate`, and the tests hold both to the same numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from spikemnist._runtime.compiler import inlined
from spikemnist.ops.event_driven.rowwise import exp, rowwise, where
from spikemnist.ops.surrogate import (
    SURROGATES,
    ATan,
    FastSigmoid,
    Heaviside,
    Sigmoid,
    SparseFastSigmoid,
    SpikeRateEscape,
    StraightThrough,
    Surrogate,
    Triangular,
    is_named,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

KINDS: dict[type[Surrogate], int] = {
    kind: code
    for code, kind in enumerate(
        (
            ATan,
            FastSigmoid,
            SparseFastSigmoid,
            Sigmoid,
            StraightThrough,
            Triangular,
            Heaviside,
            SpikeRateEscape,
        )
    )
}


def slope_of(surrogate: Callable[..., Any]) -> tuple[int, float, float]:
    """Return the code of a named surrogate and its parameters, as `through_spikes` takes them."""
    if not is_named(surrogate):
        raise ValueError(
            f"the fused kernels know the surrogates {', '.join(SURROGATES)}; got {surrogate!r}. "
            "Use weigh_events and leaky, which take any"
        )
    code = KINDS[type(surrogate)]  # type: ignore[index]
    match surrogate:
        case ATan(alpha=alpha):
            parameters = (math.pi / 2 * alpha, alpha / 2)
        case FastSigmoid(slope=slope) | Sigmoid(slope=slope):
            parameters = (slope, 0.0)
        case SparseFastSigmoid(slope=slope, cutoff=cutoff):
            parameters = (slope, cutoff)
        case Triangular(threshold=threshold):
            parameters = (threshold, 0.0)
        case SpikeRateEscape(beta=beta, slope=slope):
            parameters = (beta, slope)
        case _:
            parameters = (0.0, 0.0)
    return (code, *parameters)


@rowwise
def _atan(gradient: Any, membrane: Any, threshold: Any, scale: Any, height: Any) -> Any:
    scaled = scale * (membrane - threshold)
    return gradient * (height / (1 + scaled * scaled))


@rowwise
def _fast_sigmoid(gradient: Any, membrane: Any, threshold: Any, slope: Any) -> Any:
    root = 1 + slope * abs(membrane - threshold)
    return gradient * (1 / (root * root))


@rowwise
def _sparse_fast_sigmoid(
    gradient: Any, membrane: Any, threshold: Any, slope: Any, cutoff: Any
) -> Any:
    x = membrane - threshold
    root = 1 + slope * abs(x)
    return gradient * where(x > cutoff, 1 / (root * root), 0)


@rowwise
def _sigmoid(gradient: Any, membrane: Any, threshold: Any, slope: Any) -> Any:
    # Even in x: taken on the left, where the exponential does not overflow.
    decay = exp(-(slope * abs(membrane - threshold)))
    root = 1 + decay
    return gradient * (slope * decay / (root * root))


@rowwise
def _triangular(gradient: Any, membrane: Any, threshold: Any, height: Any) -> Any:
    return gradient * where(membrane - threshold < 0, height, -height)


@rowwise
def _heaviside(gradient: Any, membrane: Any, threshold: Any) -> Any:
    return gradient * where(membrane > threshold, 1, gradient * 0)


@rowwise
def _spike_rate_escape(gradient: Any, membrane: Any, threshold: Any, beta: Any, slope: Any) -> Any:
    return gradient * (slope * exp(-(beta * abs(membrane - threshold - 1))))


@inlined
def through_spikes(
    gradient: Array, membrane: Array, threshold: Array, kind: int, first: Any, second: Any
) -> None:
    """Multiply a row of gradients of the spikes by the surrogate derivative."""
    if kind == 0:
        _atan(gradient, gradient, membrane, threshold, first, second)
    elif kind == 1:
        _fast_sigmoid(gradient, gradient, membrane, threshold, first)
    elif kind == 2:
        _sparse_fast_sigmoid(gradient, gradient, membrane, threshold, first, second)
    elif kind == 3:
        _sigmoid(gradient, gradient, membrane, threshold, first)
    elif kind == 5:
        _triangular(gradient, gradient, membrane, threshold, first)
    elif kind == 6:
        _heaviside(gradient, gradient, membrane, threshold)
    elif kind == 7:
        _spike_rate_escape(gradient, gradient, membrane, threshold, first, second)

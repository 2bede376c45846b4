"""Bounds by arithmetic for two runs of a stack that agree.

A gradient is a sum of products along all paths from the loss. Each rounding on a path changes its
product by a factor of at most 1 + u, so that the computed gradient differs from the exact one by at
most the number of roundings times u times the sum of the paths' absolute values, the *magnitude*.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spikemnist import ops
from tests.laws.layers import by_snntorch
from tests.laws.runners import OUTPUTS, RUNNERS, Answer, answer, loss_weights

if TYPE_CHECKING:
    from spikemnist.ops.layer import LayerOutput, LayerParams
    from tests.laws.stacks import Stack

DOUBLE = 1e-10
"""Relative error of random weights in double precision: a steep surrogate magnifies last bits."""

EXPONENTIAL = 256
"""Roundings that an exponential is worth: twice 104, beyond which it is zero in single precision,
for what the two factors of its argument were rounded, and some for itself."""


def magnitudes(given: Stack, towards: list[dict[str, Tensor]], run: Answer) -> dict[str, Tensor]:
    """Return for each gradient the sum of the absolute values of its terms, float64.

    ``run`` is an answer with the spikes and membranes of all layers. Dropout is taken to let all
    spikes through.
    """
    sums: dict[str, Tensor] = {}
    above: Tensor | None = None
    for index in reversed(range(len(given.layers))):
        params = given.layers[index]
        source, scale = given.spikes, 1.0
        if index > 0:
            source = run.layers[index - 1].spikes
            scale = 1 / (1 - given.layers[index].dropout)
        adjoint = _adjoint(params, run.layers[index], towards[index], above)
        sums |= {f"{part} {index}": value for part, value in adjoint.items() if part != "delta"}
        delta, inputs = adjoint["delta"], source.double().abs() * scale
        sums[f"bias {index}"] = delta.sum((0, 1))
        if params.weight is None:
            above = delta * scale
        else:
            sums[f"weight {index}"] = torch.einsum("tbn,tbf->nf", delta, inputs)
            above = delta @ params.weight.double().abs() * scale
    sums["input"] = above
    return sums


def _adjoint(
    params: LayerParams, output: LayerOutput, towards: dict[str, Tensor], above: Tensor | None
) -> dict[str, Tensor]:
    """Return the magnitudes of the adjoint ``[T, B, N]`` and of what is summed from it."""
    membrane, threshold = output.membrane.double(), params.threshold.double()
    beta = params.beta.double().clamp(0, 1)
    none = torch.zeros_like(membrane)
    start = torch.zeros_like(membrane[0]) if params.initial is None else params.initial.double()
    before = torch.cat([start[None], membrane[:-1]])
    fired = (before > threshold).double()
    passed = 1 - fired if params.reset_mechanism == "zero" else torch.ones_like(fired)
    slope = _slope(params.spike_grad, membrane - threshold).abs()
    through = slope * (towards.get("spikes", none).double().abs() + (0 if above is None else above))
    arriving = towards.get("membrane", none).double().abs() + through
    carried = towards.get("final", torch.zeros_like(start)).double().abs()
    delta = torch.empty_like(membrane)
    for t in reversed(range(len(membrane))):
        delta[t] = arriving[t] + carried
        carried = beta * passed[t] * delta[t]
    of_threshold = through + (delta * fired if params.reset_mechanism == "subtract" else 0)
    return {
        "delta": delta,
        "initial": carried,
        "beta": (delta * before.abs() * passed).sum(0),
        "threshold": of_threshold.sum(0),
    }


def _slope(spike_grad: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the derivative of a surrogate, by autograd where it is a function."""
    surrogate = ops.get_surrogate(spike_grad)
    if isinstance(surrogate, ops.Surrogate):
        return surrogate.derivative_(x)
    leaf = x.float().requires_grad_()
    fired = surrogate(leaf)
    return torch.autograd.grad(fired.sum(), leaf)[0] if fired.requires_grad else 0 * x


def roundings(given: Stack) -> int:
    """Return how many roundings there are at most on a path from the loss to a gradient."""
    steps, batch, *shape = given.spikes.shape
    total, size = steps * batch, math.prod(shape)
    for params in given.layers:
        slope = ops.get_surrogate(params.spike_grad)
        exponential = isinstance(slope, ops.Sigmoid | ops.SpikeRateEscape)
        # The adjoint's recursion rounds three times a step, the other surrogates eight times.
        total += 3 * steps + (EXPONENTIAL if exponential else 8) + size
        size = size if params.weight is None else len(params.weight)
    return total + size


def assert_gradients_agree(
    actual: Answer, expected: Answer, sizes: dict[str, Tensor], tolerance: float
) -> None:
    """Assert gradients that differ by at most ``tolerance`` times their magnitudes."""
    for name in actual.gradients:
        # Autograd says None where the loss does not depend on a leaf.
        gradient, other = (
            torch.zeros(()) if one.gradients[name] is None else one.gradients[name]
            for one in (actual, expected)
        )
        # A factor below the smallest normal number may be set to zero, before it is multiplied by
        # the slope of a surrogate, at most 25, and a gradient, at most 4, in each of 100 terms.
        bound = tolerance * sizes[name] + 25 * 4 * 100 * torch.finfo(gradient.dtype).tiny
        if bound.shape != gradient.shape:
            bound = bound.sum_to_size(gradient.shape)
        error = (gradient.double() - other.double()).abs()
        assert bool((error <= bound).all()), f"gradient of {name}: {error.max():.3g} off"


def assert_same_spikes(actual: Answer, expected: Answer) -> None:
    """Assert equal spikes, and counts of them, where the run recorded them."""
    for one, other in zip(actual.layers, expected.layers, strict=True):
        assert one.counts.dtype == torch.int64
        assert torch.equal(one.counts, other.counts)
        if one.spikes is not None:
            assert one.spikes.dtype == other.spikes.dtype
            assert torch.equal(one.spikes, other.spikes)


def assert_same_membranes(actual: Answer, expected: Answer, tolerance: float) -> None:
    """Assert membranes that differ by at most ``tolerance`` times the largest."""
    for one, other in zip(actual.layers, expected.layers, strict=True):
        for name in OUTPUTS[1:]:
            membrane, same = getattr(one, name), getattr(other, name)
            if membrane is not None and membrane.numel():
                scale = float(same.abs().max().clamp_min(1))
                torch.testing.assert_close(membrane, same, rtol=0, atol=tolerance * scale)


def assert_same_bits(actual: Answer, expected: Answer) -> None:
    """Assert equal outputs and gradients."""
    for one, other in zip(actual.layers, expected.layers, strict=True):
        for name in (*OUTPUTS, "counts"):
            value, same = getattr(one, name), getattr(other, name)
            assert (value is None) == (same is None)
            assert value is None or torch.equal(value, same), name
    for name, gradient in actual.gradients.items():
        same = expected.gradients[name]
        assert (gradient is None) == (same is None)
        assert gradient is None or torch.equal(gradient, same), f"gradient of {name}"


def assert_equals_the_loop(runner: str, given: Stack, outputs: Sequence[str] = OUTPUTS) -> Answer:
    """Compare a runner with `snntorch.Leaky` stepped in a loop: spikes, membranes, gradients.

    Exact stacks have the same bits, but for gradients, which round in other places.
    """
    towards = loss_weights(given, outputs)
    actual = answer(RUNNERS[runner], given, towards)
    expected = answer(by_snntorch, given, towards)
    unit = torch.finfo(given.layers[0].beta.dtype).eps / 2
    assert_same_spikes(actual, expected)
    assert_same_membranes(actual, expected, 0 if given.exact else DOUBLE)
    assert_gradients_agree(
        actual,
        expected,
        magnitudes(given, towards, expected),
        2 * roundings(given) * unit if given.exact else DOUBLE,
    )
    return actual

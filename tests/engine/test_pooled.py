"""Leaky neurons behind a convolution's pooling, against `leaky` of torch's own pooling.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` channels, ``H`` and ``W`` pixels, ``N`` neurons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.nn import functional

from spikemnist import engine, ops
from spikemnist.kernels import memory, openmp, scheduler
from spikemnist.ops.layer import LayerParams
from tests.strategies import SEEDS

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Problem:
    """A current with pixels and its neurons, all of it requiring a gradient."""

    current: Tensor
    beta: Tensor
    threshold: Tensor
    initial: Tensor | None
    num_steps: int
    size: int
    reset_mechanism: str = "subtract"
    spike_grad: str = "atan"

    def layer(self) -> LayerParams:
        return LayerParams(
            weight=None,
            beta=self.beta,
            threshold=self.threshold,
            reset_mechanism=self.reset_mechanism,
            spike_grad=ops.get_surrogate(self.spike_grad),
            initial=self.initial,
            pool=self.size,
        )

    def leaves(self) -> list[Tensor]:
        given = (self.current, self.beta, self.threshold, self.initial)
        return [tensor for tensor in given if tensor is not None]


def problem(
    seed: int = 0,
    steps: int = 5,
    shape: tuple[int, int, int, int] = (2, 3, 7, 6),
    size: int = 2,
    *,
    constant: bool = False,
    each: bool = False,
    initial: bool = False,
    dtype: torch.dtype = torch.float64,
    **options: Any,
) -> Problem:
    random = torch.Generator().manual_seed(seed)
    batch, channels, height, width = shape
    count = channels * (height // size) * (width // size)

    def drawn(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=random, dtype=dtype)

    several = (count,) if each else ()
    return Problem(
        current=drawn(1 if constant else steps, *shape).mul_(0.7).requires_grad_(),
        beta=drawn(*several).sigmoid().requires_grad_(),
        threshold=drawn(*several).abs().add(0.3).requires_grad_(),
        initial=drawn(batch, count).requires_grad_() if initial else None,
        num_steps=steps,
        size=size,
        **options,
    )


PROBLEMS = st.builds(
    problem,
    SEEDS,
    st.integers(1, 6),
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 40)),
    st.integers(1, 4),
    constant=st.booleans(),
    each=st.booleans(),
    initial=st.booleans(),
    reset_mechanism=st.sampled_from(ops.RESET_MECHANISMS),
    spike_grad=st.sampled_from(sorted(ops.SURROGATES)),
)


def by_kernel(given: Problem) -> tuple[Tensor, Tensor]:
    (ran,) = engine.run([given.layer()], given.current, num_steps=given.num_steps)
    return ran.spikes.flatten(2), ran.membrane.flatten(2)


def by_torch(given: Problem) -> tuple[Tensor, Tensor]:
    seen, batch, channels, height, width = given.current.shape
    high, wide = height // given.size, width // given.size
    count = channels * high * wide
    pooled = given.current.flatten(0, 1)
    if count and batch:
        pooled = functional.max_pool2d(pooled, given.size)
    else:
        pooled = pooled.new_zeros(seen * batch, count)
    pooled = pooled.reshape(seen, batch, count).expand(given.num_steps, -1, -1)
    return ops.leaky(
        pooled,
        given.beta,
        given.threshold,
        reset_mechanism=given.reset_mechanism,
        spike_grad=given.spike_grad,
        initial=given.initial,
    )


def gradients(outputs: tuple[Tensor, Tensor], given: Problem, uses: str) -> list[Tensor]:
    spikes, membrane = outputs
    ramp = torch.linspace(-1, 1, membrane.numel(), dtype=membrane.dtype).reshape(membrane.shape)
    terms = {"spikes": (spikes * ramp).sum(), "membrane": (membrane * ramp.flip(0)).sum()}
    loss = sum(value for name, value in terms.items() if uses in (name, "both"))
    return list(torch.autograd.grad(loss, given.leaves(), materialize_grads=True))


@given(PROBLEMS, st.sampled_from(["spikes", "membrane", "both"]))
@example(problem(shape=(2, 12, 24, 24), each=True, initial=True), "both")
@example(problem(shape=(1, 1, 1, 64), size=1, steps=1), "both")
def test_the_kernel_is_pooling_and_leaky_neurons(given: Problem, uses: str) -> None:
    found, expected = by_kernel(given), by_torch(given)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)  # the bits
    with torch.no_grad():
        (ran,) = engine.run(
            [given.layer()], given.current, num_steps=given.num_steps, record="spikes"
        )
    assert torch.equal(ran.spikes.flatten(2), expected[0])
    assert ran.membrane is None  # nobody wants them, and no gradient will
    if expected[0].numel():
        for one, other in zip(
            gradients(found, given, uses), gradients(expected, given, uses), strict=True
        ):
            scale = max(1.0, float(other.abs().max()))
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12 * scale)


def test_single_precision_has_the_same_bits() -> None:
    given = problem(shape=(4, 5, 12, 12), dtype=torch.float32, each=True)
    for one, other in zip(by_kernel(given), by_torch(given), strict=True):
        assert torch.equal(one, other)
    found, expected = (gradients(run(given), given, "both") for run in (by_kernel, by_torch))
    for one, other in zip(found, expected, strict=True):
        # Sums of up to T B roundings of 6e-8 each.
        torch.testing.assert_close(one, other, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_ties_and_what_is_no_number_are_pooled_as_torch_does(size: int) -> None:
    image = torch.tensor(
        [
            [1.0, 1.0, 2.0, math.nan, -math.inf, -math.inf],
            [1.0, 1.0, 2.0, 2.0, -math.inf, -math.inf],
            [0.0, -0.0, math.inf, 1.0, math.nan, math.nan],
            [-0.0, 0.0, math.inf, math.inf, math.nan, 1.0],
            [3.0, 2.0, 1.0, 1.0, 2.0, 3.0],
            [3.0, 2.0, 1.0, 1.0, 2.0, 3.0],
        ]
    )
    given = problem(shape=(1, 1, 6, 6), size=size, steps=1, dtype=torch.float32)
    given = replace(given, current=image.view(1, 1, 1, 6, 6).requires_grad_())
    found, expected = by_kernel(given), by_torch(given)
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=0, equal_nan=True)
    one, other = (
        torch.autograd.grad(membrane.sum(), given.current)[0] for _, membrane in (found, expected)
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("where", ["team", "pool"])
@pytest.mark.parametrize("count", [2, 8])
def test_any_number_of_threads_gives_the_same_bits(
    where: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "pool":
        monkeypatch.setattr(openmp, "team_addresses", lambda: openmp.NO_TEAM)
    monkeypatch.setattr(scheduler, "STALL", math.inf)
    monkeypatch.setattr(scheduler, "_crowded_until", 0.0)
    given = problem(shape=(16, 12, 24, 24), dtype=torch.float32, each=True, initial=True)
    results = []
    before = torch.get_num_threads()
    try:
        for number in (1, count):
            torch.set_num_threads(number)
            found = by_kernel(given)
            results.append([*found, *gradients(found, given, "both")])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


@given(PROBLEMS)
def test_no_uninitialised_memory_is_read(given: Problem) -> None:
    def poisoned(shape: Any, dtype: torch.dtype) -> Tensor:
        tensor = torch.empty(shape, dtype=dtype)
        tensor.numpy().view(np.uint8).fill(0x5A)
        return tensor.fill_(math.nan) if dtype.is_floating_point else tensor

    found = by_kernel(given)
    expected = [*found, *gradients(found, given, "both")] if found[0].numel() else found
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "empty", poisoned)
        again = by_kernel(given)
        results = [*again, *gradients(again, given, "both")] if found[0].numel() else again
    for one, other in zip(results, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 4}, r"current must be \[T, B, C, H, W\] with 4 timesteps"),
        ({"num_steps": 0}, "with 0 timesteps"),
        ({"size": 0}, r"pool must lie in 1..15"),
        ({"size": 16}, r"pool must lie in 1..15"),
        ({"current": torch.zeros(5, 2, 3, 7)}, r"current must be \[T, B, C, H, W\]"),
        ({"beta": torch.zeros(4, dtype=torch.float64)}, "beta must have the shape"),
        ({"initial": torch.zeros(2, 4, dtype=torch.float64)}, "initial must have the shape"),
    ],
)
def test_shapes_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_kernel(replace(problem(), **changes))


def test_a_mixture_of_dtypes() -> None:
    with pytest.raises(TypeError, match="current must have the dtype of beta"):
        by_kernel(replace(problem(), current=torch.zeros(5, 2, 3, 7, 6)))
    given = problem()
    layer = replace(given.layer(), spike_grad=lambda x: x)
    with pytest.raises(ValueError, match="the fused kernels know the surrogates"):
        engine.run([layer], given.current, num_steps=5)

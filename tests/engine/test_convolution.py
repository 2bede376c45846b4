"""Convolutions spike by spike, against torch's own.

Shapes: ``N`` images, ``C`` channels in and ``O`` out, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from unittest import mock

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from spikemnist.engine import convolution
from spikemnist.kernels import memory
from spikemnist.models import LeakyConvNet
from tests.strategies import SEEDS


@dataclass
class Problem:
    """Images of spikes, weights, and how the kernel moves."""

    spikes: Tensor
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]

    def by_events(self) -> Tensor:
        return convolution.convolve(self.spikes, self.weight, self.bias, self.stride, self.padding)

    def by_torch(self) -> Tensor:
        spikes = self.spikes.to(self.weight.dtype)
        return functional.conv2d(spikes, self.weight, self.bias, self.stride, self.padding)

    def leaves(self) -> list[Tensor]:
        given = (self.spikes, self.weight, self.bias)
        return [tensor for tensor in given if tensor is not None and tensor.requires_grad]


def problem(
    seed: int = 0,
    shape: tuple[int, int, int, int] = (3, 2, 6, 7),
    outputs: int = 40,
    reach: tuple[int, int] = (3, 2),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    *,
    density: float = 0.2,
    scale: float = 1.0,
    biased: bool = True,
    spike_dtype: torch.dtype | None = None,
    channels_last: bool = True,
    dtype: torch.dtype = torch.float64,
) -> Problem:
    random = torch.Generator().manual_seed(seed)
    spikes = torch.rand(shape, generator=random) < density
    spikes = (spikes * scale).to(dtype if spike_dtype is None else spike_dtype)
    if channels_last:
        spikes = spikes.to(memory_format=torch.channels_last)

    def drawn(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=random, dtype=dtype).requires_grad_()

    return Problem(
        spikes=spikes.requires_grad_(spikes.is_floating_point()),
        weight=drawn(outputs, shape[1], *reach),
        bias=drawn(outputs) if biased else None,
        stride=stride,
        padding=padding,
    )


PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
PROBLEMS = st.builds(
    problem,
    SEEDS,
    st.tuples(st.integers(1, 20), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([32, 33, 64, 65 + 40, 128]),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    PAIRS,
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    density=st.sampled_from([0.0, 0.05, 0.25, 1.0]),
    scale=st.sampled_from([1.0, 4 / 3, 0.5, 3.0, -2.0]),
    biased=st.booleans(),
    spike_dtype=st.sampled_from([None, torch.uint8, torch.bool, torch.float32]),
    channels_last=st.booleans(),
)


@given(PROBLEMS)
@example(problem(shape=(0, 2, 6, 7)))
@example(problem(shape=(1, 1, 1, 1), reach=(1, 1)))
@example(problem(shape=(2, 1, 1, 1), reach=(5, 5), padding=(2, 2), density=1.0))
@example(problem(shape=(2, 1, 9, 9), reach=(1, 1), stride=(3, 3), density=1.0))
@example(problem(spike_dtype=torch.float32, dtype=torch.float32))
@example(problem(scale=4 / 3, density=1.0))
def test_it_is_torchs_convolution(given: Problem) -> None:
    sizes = zip(given.spikes.shape[2:], given.padding, given.weight.shape[2:], strict=True)
    assume(all(side + 2 * beside >= reach for side, beside, reach in sizes))
    with mock.patch.object(convolution, "DENSE_FROM", 1.0):
        ours = given.by_events()
    expected = given.by_torch()
    assert ours.shape == expected.shape
    single = given.weight.dtype == torch.float32
    # Sums of at most 75 products of numbers of about 1, in another order.
    close = {"rtol": 1e-5, "atol": 1e-5} if single else {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(ours, expected, **close)
    leaves = given.leaves()
    gradient = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    gradient = gradient.to(expected.dtype)
    result = torch.autograd.grad(ours, leaves, gradient)
    wanted = torch.autograd.grad(expected, leaves, gradient)
    # The gradient of a weight sums over all pixels of all images.
    close = {name: 20 * bound for name, bound in close.items()}
    for mine, theirs in zip(result, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, **close)


@pytest.mark.parametrize("learned", ["spikes", "weight", "bias"])
def test_the_gradient_of_a_single_leaf(learned: str) -> None:
    given = problem(scale=1.25)
    for name in ("spikes", "weight", "bias"):
        getattr(given, name).requires_grad_(name == learned)
    leaf = getattr(given, learned)
    (result,) = torch.autograd.grad(given.by_events().square().sum(), [leaf])
    (expected,) = torch.autograd.grad(given.by_torch().square().sum(), [leaf])
    torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-11)


def with_half_a_spike() -> Problem:
    given = problem()
    with torch.no_grad():
        given.spikes[0, 0, 0, 0] = 0.5
    return given


@pytest.mark.parametrize(
    "given",
    [problem(density=0.5), problem(outputs=12), problem(outputs=65), with_half_a_spike()],
    ids=["dense", "few channels", "one channel more than a block", "not spikes"],
)
def test_the_dense_product_takes_over(given: Problem) -> None:
    with mock.patch.object(convolution, "_Convolution", None):
        result = given.by_events()
    assert torch.equal(result, given.by_torch())


def test_buffers_are_written_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given = problem(shape=(40, 12, 12, 12), outputs=96, reach=(5, 5), padding=(1, 1))
    gradient = torch.ones_like(given.by_torch())

    def run() -> list[Tensor]:
        out = given.by_events()
        return [out.detach(), *torch.autograd.grad(out, given.leaves(), gradient)]

    expected, empty = run(), memory.empty

    def poisoned(shape, dtype):
        buffer = empty(shape, dtype)
        buffer.fill(math.nan if buffer.dtype.kind == "f" else 77)
        return buffer

    monkeypatch.setattr(memory, "empty", poisoned)
    for one, other in zip(run(), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.usefixtures("threads")
def test_any_number_of_threads_makes_the_same_bits() -> None:
    given = problem(shape=(64, 12, 12, 12), outputs=64, reach=(5, 5), dtype=torch.float32)
    gradient = torch.randn_like(given.by_torch())
    results = []
    for count in (1, 2, 8):
        torch.set_num_threads(count)
        out = given.by_events()
        results.append([out, *torch.autograd.grad(out, [given.weight], gradient)])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_a_network_convolves_spike_by_spike(dropout: float) -> None:
    torch.manual_seed(0)
    model = LeakyConvNet("12C5-P2-64C5-P2-10", dropout=dropout, backend="event_driven")
    spikes = (torch.rand(4, 3, 28, 28) < 0.1).to(torch.uint8)
    with mock.patch.object(convolution, "run_convolution", wraps=None) as run:
        run.side_effect = RuntimeError("called")
        with pytest.raises(RuntimeError, match="called"):
            model(spikes)

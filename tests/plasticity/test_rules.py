"""The rules of plasticity, against closed forms, against each other, and against their bounds.

Shapes: ``T`` timesteps, ``B`` batch, ``I`` presynaptic and ``J`` postsynaptic neurons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist.plasticity import pair_stdp, stdp_window
from tests.strategies import SEEDS

STEPS, BATCH = 12, 3


def spikes_at(*times: int, steps: int = 60) -> Tensor:
    """Return the spikes of one neuron in one sample, float64 ``[T, 1, 1]``."""
    spikes = torch.zeros(steps, 1, 1, dtype=torch.float64)
    spikes[list(times)] = 1
    return spikes


def weight_of(value: float = 0.5) -> Tensor:
    return torch.full((1, 1), value, dtype=torch.float64)


def exactly(value: float) -> Any:
    """Compare numbers of magnitude 1, of which a few operations in double precision are left."""
    return pytest.approx(value, rel=1e-12, abs=1e-14)


def test_the_window_by_the_order_of_spikes() -> None:
    window = stdp_window(torch.tensor([[-40.0, -1.0], [1.0, 40.0]], dtype=torch.float64))
    assert (window[0] < 0).all()
    assert (window[1] > 0).all()
    assert window[0, 1] < window[0, 0]  # the nearer, the more
    assert window[1, 0] > window[1, 1]
    assert window[1, 0].item() == exactly(0.01 * math.exp(-1 / 20))
    assert window[0, 0].item() == exactly(-0.0105 * math.exp(-2))
    far = torch.tensor([-1e5, 0.0, 1e5])
    assert stdp_window(far).tolist() == [0, 0, 0]


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("start", [-0.5, 0.25, 1.75])
def test_a_change_follows_a_power_of_the_headroom(mu: float, start: float) -> None:
    options = {"weight_dependence": mu, "w_min": -1.0, "w_max": 2.0}
    up = pair_stdp(spikes_at(10), spikes_at(17), weight_of(start), **options)
    down = pair_stdp(spikes_at(17), spikes_at(10), weight_of(start), **options)
    left = math.exp(-7 / 20)
    assert up.item() - start == exactly(0.01 * (2 - start) ** mu * left)
    assert down.item() - start == exactly(-0.0105 * (start + 1) ** mu * left)


@dataclass
class Case:
    """Arguments of a rule."""

    pre: Tensor
    post: Tensor
    weight: Tensor
    options: dict[str, Any] = field(default_factory=dict)


def draw(
    seed: int,
    shape: tuple[int, int, int, int],
    densities: tuple[float, float] = (0.3, 0.3),
    dtype: torch.dtype = torch.float64,
    spikes: torch.dtype = torch.float32,
    **options: Any,
) -> Case:
    """Draw spikes ``[T, B, I]`` and ``[T, B, J]`` and weights in [0.3, 0.7]."""
    steps, batch, inputs, outputs = shape
    random = torch.Generator().manual_seed(seed)

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=random, dtype=torch.float64)

    return Case(
        (uniform(steps, batch, inputs) < densities[0]).to(spikes),
        (uniform(steps, batch, outputs) < densities[1]).to(spikes),
        (0.3 + 0.4 * uniform(outputs, inputs)).to(dtype),
        options,
    )


SHAPES = st.tuples(
    st.integers(0, STEPS), st.integers(0, BATCH), st.integers(1, 70), st.integers(1, 9)
)
DENSITIES = st.sampled_from([0.0, 0.1, 0.5, 1.0])
CASES = st.builds(
    draw,
    SEEDS,
    SHAPES,
    st.tuples(DENSITIES, DENSITIES),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([torch.bool, torch.uint8, torch.float32]),
    timestep=st.sampled_from([0.5, 1.0, 7.0]),
)
EXPONENTS = st.sampled_from([0.0, 0.5, 1.0])


def by_pairs(case: Case, **constants: float) -> Tensor:
    """Return the changes ``[J, I]`` of the additive rule: the window, summed over all pairs."""
    t = torch.arange(len(case.pre), dtype=torch.float64)
    window = stdp_window((t[None] - t[:, None]) * case.options["timestep"], **constants)
    return torch.einsum("tbi,sbj,ts->ji", case.pre.double(), case.post.double(), window)


@given(CASES)
def test_additive_rule_over_all_pairs_of_spikes(case: Case) -> None:
    constants = {"a_plus": 5e-4, "a_minus": 1e-3, "tau_plus": 15.0, "tau_minus": 25.0}
    before, timestep = case.weight.clone(), case.options["timestep"]
    after = pair_stdp(case.pre, case.post, case.weight, **constants, timestep=timestep)
    assert torch.equal(case.weight, before)
    assert after.dtype == case.weight.dtype
    assert after.shape == case.weight.shape
    assert torch.allclose((after - before).double(), by_pairs(case, **constants), **rounding(case))


def rounding(case: Case) -> dict[str, float]:
    """Return a tolerance: each timestep rounds a weight below 1, and its changes, twice."""
    return {"rtol": 0, "atol": 8 * STEPS * torch.finfo(case.weight.dtype).eps}


@given(CASES, st.sampled_from([(0.0, 0.8), (-1.0, 0.75), (0.25, 3.0)]), EXPONENTS)
def test_weights_stay_between_any_bounds(
    case: Case, bounds: tuple[float, float], mu: float
) -> None:
    low, high = bounds
    options = {**case.options, "w_min": low, "w_max": high}
    pre, post, weight = case.pre, case.post, case.weight
    after = pair_stdp(pre, post, weight, a_plus=2.0, a_minus=3.0, weight_dependence=mu, **options)
    assert ((after >= low) & (after <= high)).all()


def test_weights_that_require_gradients() -> None:
    case = draw(7, (9, 3, 5, 4))
    learned = case.weight.clone().requires_grad_()
    after = pair_stdp(case.pre, case.post, learned)
    assert not after.requires_grad
    assert torch.equal(after, pair_stdp(case.pre, case.post, case.weight))


@pytest.mark.parametrize("which", ["pre", "post"])
def test_the_additive_rule_is_linear_in_the_size_of_spikes(which: str) -> None:
    case = draw(8, (9, 3, 5, 4))
    change = pair_stdp(case.pre, case.post, case.weight) - case.weight
    getattr(case, which).mul_(0.5)
    half = pair_stdp(case.pre, case.post, case.weight) - case.weight
    assert change.any()
    assert torch.allclose(half, change / 2, rtol=0, atol=1e-15)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape)


SPIKES, WEIGHT = (zeros(9, 1, 2), zeros(9, 1, 3)), zeros(3, 2)
INVALID: list[tuple[tuple[Tensor, ...], dict[str, Any], str]] = [
    ((zeros(9, 2), zeros(9, 1, 3), WEIGHT), {}, "pre must be"),
    ((zeros(9, 1, 2), zeros(8, 1, 3), WEIGHT), {}, r"T and B; got \(9, 1, 2\) and \(8, 1, 3\)"),
    ((*SPIKES, WEIGHT.T), {}, r"\[J, I\] = \[3, 2\]; got torch.float32 of shape \(2, 3\)"),
    ((*SPIKES, WEIGHT.long()), {}, r"must be floating, .*; got torch.int64 of shape \(3, 2\)"),
    ((*SPIKES, WEIGHT + 2), {}, "between w_min 0.0 and w_max 1.0; got 2.0 to 2.0"),
    ((*SPIKES, WEIGHT * math.nan), {}, "weights must lie between"),
    ((*SPIKES, WEIGHT), {"w_max": 0.0}, "w_min must be less than w_max, 0.0; got 0.0"),
    ((*SPIKES, WEIGHT), {"timestep": 0.0}, "the timestep in ms must be a number, above 0; got 0.0"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), INVALID)
def test_invalid_arguments(
    arguments: tuple[Tensor, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pair_stdp(*arguments, **options)


POSITIVE = "a time constant in ms must be a number, above 0; got {}"
CONSTANTS = [
    ("tau_plus", 0.0, POSITIVE),
    ("tau_minus", math.nan, POSITIVE),
    ("tau_minus", -1.0, POSITIVE),
    (
        "weight_dependence",
        -0.5,
        "weight_dependence must be a number, at least 0 and finite; got {}",
    ),
    (
        "weight_dependence",
        math.inf,
        "weight_dependence must be a number, at least 0 and finite; got {}",
    ),
]


@pytest.mark.parametrize(("name", "value", "message"), CONSTANTS)
def test_constants_out_of_range(name: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message.format(value)):
        pair_stdp(*SPIKES, WEIGHT, **{name: value})


@pytest.mark.parametrize("tau", [-1.0, 0.0, math.nan])
def test_the_time_constants_of_a_window_are_positive(tau: float) -> None:
    with pytest.raises(ValueError, match=r"a time constant in ms must be a number, above 0"):
        stdp_window(zeros(3), tau_minus=tau)

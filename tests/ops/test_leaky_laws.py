"""What holds for the dynamics whatever the oracle says: memory, layout, physics, calculus.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikemnist import ops
from tests.ops.oracle import LEAVES, answer, our_leaky
from tests.strategies import SEEDS, leaky_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor


@pytest.fixture
def poisoned_memory() -> Iterator[None]:
    """Let torch fill what it hands out uninitialised with NaN, outputs of ``empty`` included."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("poisoned_memory")
@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("spike_grad", sorted(ops.SURROGATES))
def test_no_uninitialised_memory_is_read(reset_mechanism: str, spike_grad: str) -> None:
    problem = leaky_problem((6, 3, 5), reset_mechanism=reset_mechanism, spike_grad=spike_grad)
    poisoned = answer(our_leaky, problem)
    torch.use_deterministic_algorithms(False)
    clean = answer(our_leaky, problem)
    assert torch.equal(poisoned.spikes, clean.spikes)
    assert torch.equal(poisoned.membrane, clean.membrane)
    for name in LEAVES:
        assert torch.equal(poisoned.gradients[name], clean.gradients[name])


def test_inputs_stay_and_outputs_are_fresh() -> None:
    problem = leaky_problem((6, 3, 5))
    inputs = [getattr(problem, name) for name in LEAVES]
    before = [value.clone() for value in inputs]
    spikes, membrane = our_leaky(*inputs, "subtract", "atan")
    again = our_leaky(*inputs, "subtract", "atan")
    for value, copy in zip(inputs, before, strict=True):
        assert torch.equal(value, copy)
    pointers = {value.untyped_storage().data_ptr() for value in (*inputs, spikes, membrane, *again)}
    assert len(pointers) == len(inputs) + 4
    original = membrane.clone()
    for value in (*inputs, *again):
        value.fill_(math.nan)
    assert torch.equal(membrane, original)


def test_the_gradient_does_not_change_its_inputs() -> None:
    problem = leaky_problem((6, 3, 5))
    current = problem.current.requires_grad_()
    spikes, membrane = ops.leaky(current, 0.9)
    weights = torch.randn_like(spikes)
    original = weights.clone()
    (first,) = torch.autograd.grad(
        (spikes, membrane), current, (weights, weights), retain_graph=True
    )
    assert torch.equal(weights, original)
    (second,) = torch.autograd.grad((spikes, membrane), current, (weights, weights))
    assert torch.equal(first, second)


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
def test_memory_layout_does_not_matter(reset_mechanism: str) -> None:
    problem = leaky_problem((6, 3, 5), reset_mechanism=reset_mechanism)
    expected = answer(our_leaky, problem)
    problem.current = problem.current.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    problem.initial = problem.initial.t().contiguous().t()
    assert not problem.current.is_contiguous()
    result = answer(our_leaky, problem)
    assert torch.equal(result.membrane, expected.membrane)
    for name in LEAVES:
        torch.testing.assert_close(
            result.gradients[name], expected.gradients[name], rtol=1e-13, atol=1e-13
        )


def test_a_current_constant_in_time_and_broadcast_inputs() -> None:
    random = torch.Generator().manual_seed(0)
    step = torch.rand(3, 5, generator=random, dtype=torch.float64)
    views = (step.expand(8, 3, 5), step[:1].expand(3, 5))
    dense = tuple(view.contiguous() for view in views)
    answers = []
    for current, initial in (views, dense):
        inputs = [value.detach().requires_grad_() for value in (current, initial)]
        spikes, membrane = ops.leaky(inputs[0], 0.9, initial=inputs[1])
        (spikes.sum() + membrane.square().sum()).backward()
        answers.append([spikes, membrane, *(value.grad for value in inputs)])
    for result, expected in zip(*answers, strict=True):
        assert torch.equal(result, expected)


@given(SEEDS, st.sampled_from(ops.RESET_MECHANISMS), st.integers(1, 8))
def test_two_halves_are_one_run(seed: int, reset_mechanism: str, cut: int) -> None:
    problem = leaky_problem((9, 2, 3), seed=seed, reset_mechanism=reset_mechanism)
    together = our_leaky(*(getattr(problem, name) for name in LEAVES), reset_mechanism, "atan")
    parameters = (problem.beta, problem.threshold)
    first = our_leaky(problem.current[:cut], *parameters, problem.initial, reset_mechanism, "atan")
    second = our_leaky(problem.current[cut:], *parameters, first[1][-1], reset_mechanism, "atan")
    for one, part, rest in zip(together, first, second, strict=True):
        assert torch.equal(one, torch.cat([part, rest]))


@given(SEEDS, st.sampled_from(ops.RESET_MECHANISMS))
def test_neurons_and_samples_do_not_see_one_another(seed: int, reset_mechanism: str) -> None:
    problem = leaky_problem((6, 4, 5), seed=seed, reset_mechanism=reset_mechanism)
    together = answer(our_leaky, problem)
    problem.current, problem.initial = problem.current[:, 1:2], problem.initial[1:2]
    alone = our_leaky(*(getattr(problem, name) for name in LEAVES), reset_mechanism, "atan")
    assert torch.equal(alone[0], together.spikes[:, 1:2])
    assert torch.equal(alone[1], together.membrane[:, 1:2])


@given(st.floats(0, 1), st.floats(-5, 1), st.sampled_from(ops.RESET_MECHANISMS))
def test_without_input_a_membrane_decays_as_beta_to_the_t(
    beta: float, start: float, reset_mechanism: str
) -> None:
    initial = torch.full((1, 1), start, dtype=torch.float64)
    silence = torch.zeros(50, 1, 1, dtype=torch.float64)
    spikes, membrane = ops.leaky(silence, beta, reset_mechanism=reset_mechanism, initial=initial)
    assert not spikes.any()
    expected = torch.tensor([start * beta**t for t in range(1, 51)], dtype=torch.float64)
    torch.testing.assert_close(membrane.flatten(), expected, rtol=1e-13, atol=1e-300)


@given(st.floats(0.01, 0.999), st.floats(0.2, 3), st.floats(1.001, 4))
def test_the_f_i_curve_of_a_neuron_that_resets_to_zero(
    beta: float, threshold: float, drive: float
) -> None:
    r"""A constant current fires periodically, with the period of the closed form.

    From rest, :math:`U_t = I + \beta I + \dots = I \frac{1 - \beta^n}{1 - \beta}` after n steps.
    It exceeds :math:`\theta` first at the least n with
    :math:`\beta^n < 1 - \frac{\theta (1 - \beta)}{I}`, which exists for
    :math:`I > \theta (1 - \beta)`. The step after a spike begins from 0, as the first one did, so
    the neuron fires at steps n, 2n, 3n, ...
    """
    current = drive * threshold * (1 - beta)
    steps = math.log(1 - threshold * (1 - beta) / current) / math.log(beta)
    period = math.floor(steps) + 1
    assume(abs(steps - round(steps)) > 1e-9)
    assume(period <= 400)
    spikes, _ = ops.leaky(
        torch.full((3 * period + 1, 1, 1), current, dtype=torch.float64),
        beta,
        threshold,
        reset_mechanism="zero",
    )
    fired = spikes.flatten().nonzero().flatten() + 1
    expected = torch.arange(1, len(spikes) + 1)
    assert torch.equal(fired, expected[expected % period == 0])


@given(st.floats(0, 0.999), st.floats(0.2, 3), st.sampled_from(ops.RESET_MECHANISMS))
def test_no_spike_below_the_rheobase(beta: float, threshold: float, reset_mechanism: str) -> None:
    """The membrane tends to I / (1 - beta) from below: the threshold is never exceeded."""
    current = torch.full((2000, 1, 1), threshold * (1 - beta) * (1 - 1e-9), dtype=torch.float64)
    spikes, membrane = ops.leaky(current, beta, threshold, reset_mechanism=reset_mechanism)
    assert not spikes.any()
    assert membrane[-1] == pytest.approx(threshold * (1 - beta**2000), rel=1e-8)


@given(SEEDS)
def test_without_leak_charge_is_conserved(seed: int) -> None:
    """Subtracting resets take a threshold's worth for each spike, one step later."""
    problem = leaky_problem((60, 2, 3), seed=seed, beta=1.0)
    spikes, membrane = our_leaky(*(getattr(problem, n) for n in LEAVES), "subtract", "atan")
    before = (problem.initial > problem.threshold).double()
    taken = (before + spikes[:-1].sum(0)) * problem.threshold
    charge = problem.initial + problem.current.sum(0)
    torch.testing.assert_close(membrane[-1], charge - taken, rtol=1e-12, atol=1e-12)


@given(SEEDS, st.sampled_from(ops.RESET_MECHANISMS))
def test_scaling_membranes_and_thresholds_changes_no_spike(seed: int, reset_mechanism: str) -> None:
    """The unit of voltage is free; powers of two scale without rounding."""
    problem = leaky_problem((9, 2, 3), seed=seed, reset_mechanism=reset_mechanism)
    expected = our_leaky(*(getattr(problem, n) for n in LEAVES), reset_mechanism, "atan")
    for name in ("current", "threshold", "initial"):
        setattr(problem, name, getattr(problem, name) * 8)
    result = our_leaky(*(getattr(problem, n) for n in LEAVES), reset_mechanism, "atan")
    assert torch.equal(result[0], expected[0])
    assert torch.equal(result[1], expected[1] * 8)


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
def test_the_membranes_gradient_is_the_finite_difference(reset_mechanism: str) -> None:
    """Between the places where a spike appears, membranes are smooth in every input."""
    problem = leaky_problem((7, 2, 3), reset_mechanism=reset_mechanism, seed=1)
    problem.beta = torch.tensor([0.3, 0.7, 0.95], dtype=torch.float64)
    leaves = [getattr(problem, name).clone().requires_grad_() for name in LEAVES]

    def membranes(*inputs: Tensor) -> Tensor:
        return our_leaky(*inputs, reset_mechanism, "atan")[1]

    spikes, membrane = our_leaky(*leaves, reset_mechanism, "atan")
    assert spikes.any()
    assert ((membrane - problem.threshold).abs() > 1e-4).all()
    assert torch.autograd.gradcheck(membranes, leaves, eps=1e-6)


def test_the_gradient_of_graded_spikes_is_the_finite_difference() -> None:
    """With a smooth function for the step, and no reset, everything is differentiable."""
    problem = leaky_problem((6, 2, 3), reset_mechanism="none", seed=1)
    problem.beta = torch.tensor([0.3, 0.7, 0.95], dtype=torch.float64)
    leaves = [getattr(problem, name).clone().requires_grad_() for name in LEAVES]
    assert torch.autograd.gradcheck(
        lambda *inputs: our_leaky(*inputs, "none", lambda x: torch.sigmoid(3 * x)), leaves
    )


def test_straight_through_spikes_have_the_membranes_gradient() -> None:
    problem = leaky_problem((6, 2, 3), spike_grad="straight_through")
    current = problem.current.requires_grad_()
    spikes, membrane = ops.leaky(current, 0.8, spike_grad="straight_through")
    weights = torch.randn_like(spikes)
    through = torch.autograd.grad(spikes, current, weights, retain_graph=True)
    assert torch.equal(through[0], torch.autograd.grad(membrane, current, weights)[0])


def test_no_second_derivative() -> None:
    current = leaky_problem((4, 2, 3)).current.requires_grad_()
    _, membrane = ops.leaky(current, 0.9)
    (first,) = torch.autograd.grad(membrane.square().sum(), current, create_graph=True)
    with pytest.raises(RuntimeError, match=r"second derivatives .* backend='snntorch'"):
        torch.autograd.grad(first.sum(), current)


@pytest.mark.parametrize("name", ops.SURROGATES)
def test_second_derivative_of_a_surrogate(name: str) -> None:
    """By central differences, away from the points where the derivative jumps."""
    surrogate, step = ops.get_surrogate(name), 1e-6
    x = torch.linspace(-1.47, 1.73, 12, dtype=torch.float64).requires_grad_()
    (first,) = torch.autograd.grad(surrogate(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum() + 0 * x.sum(), x)
    after, before = (surrogate.derivative_(x.detach() + sign * step) for sign in (1, -1))
    torch.testing.assert_close(second, (after - before) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("current", "options", "message"),
    [
        ((4, 2, 3), {"reset_mechanism": "soft"}, "subtract, zero, none; got 'soft'"),
        ((0, 2, 3), {}, r"at least one timestep; got \(0, 2, 3\)"),
        ((4,), {}, r"must be \[T, B, ...\].*got \(4,\)"),
        ((4, 2, 3), {"initial": (3,)}, r"timestep, \(2, 3\); got \(3,\)"),
        ((4, 2, 3), {"beta": (2,)}, r"beta must be.*against \(2, 3\); got shape \(2,\)"),
        ((4, 2, 3), {"beta": (4, 2, 3)}, r"beta must.*got shape \(4, 2, 3\)"),
        ((4, 2, 3), {"threshold": (3, 1)}, r"threshold must.*got shape \(3, 1\)"),
    ],
)
def test_shapes_and_names_that_do_not_fit(
    current: tuple[int, ...], options: dict[str, object], message: str
) -> None:
    tensors = {
        name: torch.ones(value) if isinstance(value, tuple) else value
        for name, value in {"beta": 0.9, **options}.items()
    }
    with pytest.raises(ValueError, match=message):
        ops.leaky(torch.zeros(current), **tensors)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_a_current_is_floating(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"current must be floating; got {dtype}"):
        ops.leaky(torch.zeros(4, 2, 3, dtype=dtype), 0.9)

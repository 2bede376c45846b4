"""`spikemnist.ops.leaky` against `snntorch.Leaky` stepped in a loop.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from snntorch import surrogate

from spikemnist import ops
from spikemnist.ops import reference
from tests.ops.oracle import LEAVES, Answer, answer, assert_same, our_leaky, snntorch_leaky
from tests.pairs import Case, named, pairs
from tests.strategies import ODD_SIZES, leaky_problem, leaky_problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tests.strategies import LeakyProblem

DOUBLE = 1e-12
# A gradient is a sum over T steps of products of up to T factors, T <= 12 here, and each
# operation rounds: at most T**2 / 2 of them.
SINGLE = 72 * 2.0**-24


def fast_sigmoid_slope_5(x: Tensor, grad: Tensor, spikes: Tensor) -> Tensor:
    return grad / (5 * x.abs() + 1) ** 2


SNNTORCH_SURROGATES: dict[str, Callable[[Tensor], Tensor]] = {
    "atan": surrogate.atan(alpha=3.0),
    "fast_sigmoid": surrogate.fast_sigmoid(slope=10),
    "sigmoid": surrogate.sigmoid(slope=4),
    "SFS": surrogate.SFS(slope=5, B=0.2),
    "straight_through_estimator": surrogate.straight_through_estimator(),
    "triangular": surrogate.triangular(threshold=0.5),
    "heaviside": surrogate.heaviside(),
    "spike_rate_escape": surrogate.spike_rate_escape(beta=2, slope=3),
    "custom_surrogate": surrogate.custom_surrogate(fast_sigmoid_slope_5),
}


def compare(
    problem: LeakyProblem,
    tolerance: float,
    loss_on: tuple[str, ...] = ("spikes", "membrane"),
) -> Answer:
    result = answer(our_leaky, problem, loss_on)
    assert_same(result, answer(snntorch_leaky, problem, loss_on), tolerance=tolerance)
    return result


@given(leaky_problems())
def test_any_problem(problem: LeakyProblem) -> None:
    compare(problem, DOUBLE)
    compare(problem.to(torch.float32), SINGLE)


@given(leaky_problems())
def test_any_problem_in_brain_float(problem: LeakyProblem) -> None:
    """Eight bits hold no gradient worth comparing digit by digit; the run is equal all the same."""
    half = problem.to(torch.bfloat16)
    result, expected = answer(our_leaky, half), answer(snntorch_leaky, half)
    assert torch.equal(result.spikes, expected.spikes)
    assert torch.equal(result.membrane, expected.membrane)
    assert {grad.dtype for grad in result.gradients.values() if grad is not None} == {
        half.beta.dtype
    }


SETTINGS = {"reset_mechanism": ops.RESET_MECHANISMS, "spike_grad": sorted(ops.SURROGATES)}


@pytest.mark.parametrize("case", pairs(size=ODD_SIZES, **SETTINGS), ids=named)
def test_every_reset_with_every_surrogate(case: Case) -> None:
    options = {name: case[name] for name in SETTINGS}
    problem = leaky_problem((9, 3, case["size"]), seed=case["size"], **options)
    result = compare(problem, DOUBLE)
    assert 0.1 < result.spikes.mean() < 0.9


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("name", SNNTORCH_SURROGATES)
def test_snntorchs_own_surrogates(reset_mechanism: str, name: str) -> None:
    """Here nothing of ours is in the oracle; its surrogates know single precision only."""
    problem = leaky_problem(
        (9, 3, 5), reset_mechanism=reset_mechanism, spike_grad=SNNTORCH_SURROGATES[name]
    )
    compare(problem.to(torch.float32), SINGLE)


def test_a_stochastic_surrogate_is_called_as_it_is() -> None:
    """SSO draws its gradient: equal spikes, and a drawn gradient only below the threshold."""
    problem = leaky_problem(
        (9, 3, 5), reset_mechanism="none", spike_grad=surrogate.SSO(), beta=0.0, initial=False
    ).to(torch.float32)
    result = answer(our_leaky, problem, ("spikes",))
    straight = leaky_problem(
        (9, 3, 5), reset_mechanism="none", spike_grad="straight_through", beta=0.0, initial=False
    ).to(torch.float32)
    expected = answer(our_leaky, straight, ("spikes",))
    fired = result.spikes == 1
    drawn, passed = result.gradients["current"], expected.gradients["current"]
    assert torch.equal(result.spikes, expected.spikes)
    assert torch.equal(drawn[fired], passed[fired])
    assert (drawn[~fired].abs() <= 0.1 * passed[~fired].abs()).all()


def test_a_callable_without_a_gradient_gives_none() -> None:
    problem = leaky_problem((5, 2, 3), spike_grad=lambda x: (x > 0).to(x.dtype))
    result = answer(our_leaky, problem, ("spikes",))
    assert not any(grad.any() for name, grad in result.gradients.items() if name != "threshold")
    compare(problem, DOUBLE, ("membrane",))


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("loss_on", [("spikes",), ("membrane",)])
def test_losses_on_one_output_alone(reset_mechanism: str, loss_on: tuple[str, ...]) -> None:
    compare(leaky_problem((8, 2, 5), reset_mechanism=reset_mechanism), DOUBLE, loss_on)


def test_a_loss_on_neither_output_gives_no_gradient() -> None:
    problem = leaky_problem((4, 2, 3))
    current = problem.current.requires_grad_()
    spikes, membrane = ops.leaky(current, 0.9)
    detached = (spikes.detach() + membrane.detach()).sum() * current.sum() * 0
    detached.backward()
    assert not current.grad.any()
    with pytest.raises(RuntimeError, match="does not require grad"):
        ops.leaky(torch.zeros(2, 1, 1), 0.9)[0].sum().backward()


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize(
    ("shape", "parameter_shape"),
    [
        ((6, 2, 4, 5, 3), (4, 1, 1)),
        ((6, 2, 4, 5, 3), (1, 1, 3)),
        ((6, 2, 4, 5, 3), ()),
        ((6, 2, 7), (1,)),
        ((6, 2, 7), (2, 1)),
        ((6, 2), ()),
        ((6, 2), (2,)),
    ],
)
def test_parameters_broadcast(
    reset_mechanism: str, shape: tuple[int, ...], parameter_shape: tuple[int, ...]
) -> None:
    problem = leaky_problem(
        shape, reset_mechanism=reset_mechanism, parameter_shape=parameter_shape, seed=3
    )
    result = compare(problem, DOUBLE)
    assert result.gradients["beta"].shape == parameter_shape
    assert result.gradients["threshold"].shape == parameter_shape


def test_beta_is_clamped_and_so_is_its_gradient() -> None:
    beta = torch.tensor([-0.5, 0.0, 0.4, 1.0, 1.5], dtype=torch.float64)
    problem = leaky_problem((7, 3, 5))
    problem.beta = beta
    result = compare(problem, DOUBLE)
    problem.beta = beta.clamp(0, 1)
    inside = answer(our_leaky, problem)
    assert torch.equal(result.spikes, inside.spikes)
    assert torch.equal(result.membrane, inside.membrane)
    learns = torch.autograd.functional.vjp(lambda x: x.clamp(0, 1), beta, torch.ones(5))[1] != 0
    assert learns[2]
    assert torch.equal(result.gradients["beta"] != 0, learns)


@pytest.mark.parametrize("passes", [False, True])
def test_a_beta_on_a_bound_learns_where_clamp_says_so(
    passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch 2.13 and torch 2.15 differ."""
    monkeypatch.setattr(reference, "CLAMP_PASSES_ON_BOUNDS", passes)
    problem = leaky_problem((7, 3, 5))
    problem.beta = torch.tensor([-0.5, 0.0, 0.4, 1.0, 1.5], dtype=torch.float64)
    result = answer(our_leaky, problem).gradients["beta"] != 0
    assert result.tolist() == [False, passes, True, passes, False]


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
def test_initial_membrane_above_the_threshold(
    reset_mechanism: str,
) -> None:
    problem = leaky_problem((3, 1, 4), reset_mechanism=reset_mechanism, beta=0.5, threshold=1.0)
    problem.initial = torch.tensor([[5.0, 1.5, 1.0, 0.5]], dtype=torch.float64)
    result = compare(problem, DOUBLE)
    after = result.membrane[0] - problem.current[0]
    expected = {
        "subtract": [1.5, -0.25, 0.5, 0.25],
        "zero": [0.0, 0.0, 0.5, 0.25],
        "none": [2.5, 0.75, 0.5, 0.25],
    }
    torch.testing.assert_close(after, after.new_tensor([expected[reset_mechanism]]))


def test_the_threshold_itself_does_not_fire() -> None:
    spikes, membrane = ops.leaky(torch.tensor([[[1.0, 1.0 + 2**-23]]]), 0.9)
    assert spikes.tolist() == [[[0.0, 1.0]]]
    assert membrane.tolist() == [[[1.0, 1.0 + 2**-23]]]


def test_numbers_and_tensors_are_the_same_parameters() -> None:
    problem = leaky_problem((6, 2, 3)).to(torch.float32)
    expected = ops.leaky(problem.current, 0.9, 0.7)
    for beta, threshold in (
        (torch.tensor(0.9), torch.tensor(0.7)),
        (torch.full((3,), 0.9), 0.7),
        (0.9, torch.full((2, 3), 0.7)),
    ):
        for result, wanted in zip(
            ops.leaky(problem.current, beta, threshold), expected, strict=True
        ):
            assert torch.equal(result, wanted)


def test_a_parameter_of_another_dtype_gets_its_gradient() -> None:
    beta = torch.tensor(0.9, requires_grad=True)
    current = leaky_problem((6, 2, 3)).current
    ops.leaky(current, beta)[1].sum().backward()
    assert beta.grad.dtype == torch.float32
    reference = torch.tensor(0.9).double().requires_grad_()
    ops.leaky(current, reference)[1].sum().backward()
    torch.testing.assert_close(beta.grad, reference.grad.float())


@pytest.mark.parametrize("name", LEAVES)
def test_each_gradient_alone(name: str) -> None:
    problem = leaky_problem((6, 2, 3))
    alone = {part: getattr(problem, part) for part in LEAVES}
    alone[name] = leaf = alone[name].clone().requires_grad_()
    ops.leaky(**alone)[1].square().sum().backward()
    together = [getattr(problem, part).clone().requires_grad_() for part in LEAVES]
    our_leaky(*together, "subtract", "atan")[1].square().sum().backward()
    assert torch.equal(leaf.grad, together[LEAVES.index(name)].grad)

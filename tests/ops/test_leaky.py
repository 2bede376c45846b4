"""`spikemnist.ops.leaky` beyond the laws that all runners obey: what it alone takes.

Shapes: ``T`` timesteps, ``B`` batch, ``...`` neurons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from snntorch import surrogate
from torch import Tensor

from spikemnist import ops
from tests.laws.agreement import assert_equals_the_loop
from tests.laws.layers import by_reference
from tests.laws.runners import answer, leaves_of, loss_weights, run
from tests.laws.stacks import neurons
from tests.pairs import Case, named, pairs


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


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("name", SNNTORCH_SURROGATES)
def test_snntorchs_own_surrogates(reset_mechanism: str, name: str) -> None:
    """Here nothing of ours is in the oracle; its surrogates know single precision only."""
    options = {"reset_mechanism": reset_mechanism, "spike_grad": SNNTORCH_SURROGATES[name]}
    assert_equals_the_loop("reference", neurons((9, 3, 5), **options).to(torch.float32))


def test_a_stochastic_surrogate_is_called_as_it_is() -> None:
    """SSO draws its gradient: equal spikes, and a drawn gradient only below the threshold."""
    answers = []
    for spike_grad in (surrogate.SSO(), "straight_through"):
        options = {"reset_mechanism": "none", "spike_grad": spike_grad}
        given = neurons((9, 3, 5), beta=0.0, initial=False, **options).to(torch.float32)
        answers.append(answer(by_reference, given, loss_weights(given, ["spikes"])))
    (drawn, passed), fired = (
        (one.gradients["input"] for one in answers),
        answers[0].layers[0].spikes,
    )
    assert torch.equal(fired, answers[1].layers[0].spikes)
    assert torch.equal(drawn[fired == 1], passed[fired == 1])
    assert (drawn[fired == 0].abs() <= 0.1 * passed[fired == 0].abs()).all()


def test_a_callable_without_a_gradient_gives_none() -> None:
    given = neurons((5, 2, 3), spike_grad=lambda x: (x > 0).to(x.dtype))
    gradients = answer(by_reference, given, loss_weights(given, ["spikes"])).gradients
    assert not any(value.any() for name, value in gradients.items() if name != "threshold 0")
    assert_equals_the_loop("reference", given, ["membrane"])


def test_graded_spikes_have_the_gradient_of_finite_differences() -> None:
    """With a smooth function for the step, and no reset, everything is differentiable."""
    graded = neurons(
        (6, 2, 3), seed=1, reset_mechanism="none", spike_grad=lambda x: torch.sigmoid(3 * x)
    )
    beta = torch.tensor([0.3, 0.7, 0.95], dtype=torch.float64)
    given = replace(graded, layers=[replace(graded.layers[0], beta=beta)])
    _, leaves = leaves_of(given)

    def outputs(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        named = dict(zip(leaves, tensors, strict=True))
        own = {name.removesuffix(" 0"): part for name, part in named.items() if name != "input"}
        layers = [replace(given.layers[0], **own)]
        (output,) = run("reference", replace(given, spikes=named["input"], layers=layers))
        return output.spikes, output.membrane

    assert torch.autograd.gradcheck(outputs, list(leaves.values()))


def test_a_loss_on_neither_output_gives_no_gradient() -> None:
    current = neurons((4, 2, 3)).spikes.requires_grad_()
    spikes, membrane = ops.leaky(current, 0.9)
    detached = (spikes.detach() + membrane.detach()).sum() * current.sum() * 0
    detached.backward()
    assert not current.grad.any()
    with pytest.raises(RuntimeError, match="does not require grad"):
        ops.leaky(torch.zeros(2, 1, 1), 0.9)[0].sum().backward()


SHAPES = pairs(
    reset_mechanism=ops.RESET_MECHANISMS,
    shapes=[
        ((6, 2, 4, 5, 3), (4, 1, 1)),
        ((6, 2, 4, 5, 3), (1, 1, 3)),
        ((6, 2, 4, 5, 3), ()),
        ((6, 2, 7), (1,)),
        ((6, 2, 7), (2, 1)),
        ((6, 2), ()),
        ((6, 2), (2,)),
    ],
    transposed=[False, True],
)


@pytest.mark.parametrize("case", SHAPES, ids=named)
def test_neurons_and_parameters_of_any_shape(case: Case) -> None:
    shape, parameter_shape = case["shapes"]
    given = neurons(
        shape, seed=3, reset_mechanism=case["reset_mechanism"], parameter_shape=parameter_shape
    )
    if case["transposed"]:
        axes = range(len(shape) - 1, -1, -1)
        given = replace(given, spikes=given.spikes.permute(*axes).contiguous().permute(*axes))
    gradients = assert_equals_the_loop("reference", given).gradients
    assert gradients["beta 0"].shape == gradients["threshold 0"].shape == parameter_shape


def test_numbers_and_tensors_are_the_same_parameters() -> None:
    current = neurons((6, 2, 3)).spikes.float()
    expected = ops.leaky(current, 0.9, 0.7)
    for beta, threshold in (
        (torch.tensor(0.9), torch.tensor(0.7)),
        (torch.full((3,), 0.9), 0.7),
        (0.9, torch.full((2, 3), 0.7)),
    ):
        assert all(map(torch.equal, ops.leaky(current, beta, threshold), expected))


def test_a_parameter_of_another_dtype_gets_its_gradient() -> None:
    current = neurons((6, 2, 3)).spikes
    betas = [
        torch.tensor(0.9).to(dtype).requires_grad_() for dtype in (torch.float32, torch.float64)
    ]
    for beta in betas:
        ops.leaky(current, beta)[1].sum().backward()
    assert betas[0].grad.dtype == torch.float32
    torch.testing.assert_close(betas[0].grad, betas[1].grad.float())


@pytest.mark.parametrize(
    ("current", "options", "message"),
    [
        ((4, 2, 3), {"reset_mechanism": "soft"}, "subtract, zero, none; got 'soft'"),
        ((0, 2, 3), {}, r"at least one timestep; got torch.float32 of shape \(0, 2, 3\)"),
        ((4,), {}, r"must be \[T, B, ...\].*got torch.float32 of shape \(4,\)"),
        (
            (4, 2, 3),
            {"initial": (3,)},
            r"timestep of shape \(2, 3\); got torch.float32 of shape \(3,\)",
        ),
        (
            (4, 2, 3),
            {"beta": (2,)},
            r"beta must be.*against \(2, 3\); got torch.float32 of shape \(2,\)",
        ),
        ((4, 2, 3), {"beta": (4, 2, 3)}, r"beta must.*got torch.float32 of shape \(4, 2, 3\)"),
        ((4, 2, 3), {"threshold": (3, 1)}, r"threshold must.*got torch.float32 of shape \(3, 1\)"),
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

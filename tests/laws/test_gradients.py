"""Gradients within autograd, whatever computes them: calculus, several graphs, refusals.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spikemnist import ops
from tests.laws.runners import (
    INTERPRETED,
    OUTPUTS,
    RUNNER,
    RUNNERS,
    answer,
    leaves_of,
    loss_of,
    loss_weights,
    run,
)
from tests.laws.stacks import PARTS, Stack, neurons, stack

pytestmark = INTERPRETED


@pytest.fixture(params=[0.1, 0.4, 0.9])
def given(request: pytest.FixtureRequest) -> Stack:
    """Sparse input, for which the engine computes membranes again; denser; and for a product."""
    return stack((70, 130, 66, 3), density=request.param, initial=True, record="all", final=True)


def run_leaves(runner: str, given: Stack) -> tuple[Tensor, list[Tensor]]:
    """Run fresh leaves; return the loss and the leaves."""
    own, leaves = leaves_of(given)
    return loss_of(run(runner, own), loss_weights(given)), list(leaves.values())


@RUNNER
@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
def test_finite_differences(runner: str, reset_mechanism: str) -> None:
    """Between the places where a spike appears, membranes are smooth in every parameter."""
    given = stack((9, 66), steps=5, batch=2, reset_mechanism=reset_mechanism, initial=True, seed=3)
    (params,) = given.layers
    params = replace(params, beta=params.beta.clamp(0.1, 0.9))
    leaves = [getattr(params, part).clone().requires_grad_() for part in PARTS]

    def membranes(*tensors: Tensor) -> Tensor:
        own = replace(params, **dict(zip(PARTS, tensors, strict=True)))
        (output,) = run(runner, replace(given, layers=[own]))
        return output.membrane

    membrane = membranes(*leaves)
    assert (membrane > params.threshold).any()
    assert (membrane - params.threshold).abs().min() > 1e-5
    assert (params.initial - params.threshold).abs().min() > 1e-5
    assert torch.autograd.gradcheck(membranes, leaves, eps=1e-7, atol=1e-5, fast_mode=True)


@RUNNER
def test_straight_through_spikes_have_the_gradient_of_membranes(runner: str) -> None:
    given = neurons((6, 2, 3), spike_grad="straight_through", beta=0.8)
    current = given.spikes.clone().requires_grad_()
    (output,) = run(runner, replace(given, spikes=current))
    weights = torch.randn_like(output.membrane)
    (through,) = torch.autograd.grad(output.spikes, current, weights, retain_graph=True)
    (of_membrane,) = torch.autograd.grad(output.membrane, current, weights)
    assert torch.equal(through, of_membrane)


@RUNNER
def test_differentiating_twice_gives_the_same(runner: str, given: Stack) -> None:
    loss, leaves = run_leaves(runner, given)
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    copies = [gradient.clone() for gradient in first]
    second = torch.autograd.grad(loss, leaves)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, first, copies))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, leaves)


@RUNNER
def test_two_graphs_live_at_once(runner: str, given: Stack) -> None:
    other = stack((70, 130, 66, 3), seed=9, initial=True, record="all", final=True)
    expected = []
    for one in (given, other):
        loss, leaves = run_leaves(runner, one)
        expected.append(torch.autograd.grad(loss, leaves))
    both = [run_leaves(runner, one) for one in (given, other)]
    for (loss, leaves), gradients in zip(both, expected, strict=True):
        assert all(map(torch.equal, torch.autograd.grad(loss, leaves), gradients))


@RUNNER
def test_the_gradient_of_a_single_leaf(runner: str, given: Stack) -> None:
    """With all other leaves frozen, each gradient has the same bits."""
    towards = loss_weights(given)
    together = answer(RUNNERS[runner], given, towards).gradients
    for index, params in enumerate(given.layers):
        for part in PARTS:
            leaf = getattr(params, part).clone().requires_grad_()
            layers = list(given.layers)
            layers[index] = replace(params, **{part: leaf})
            outputs = run(runner, replace(given, layers=layers))
            (gradient,) = torch.autograd.grad(loss_of(outputs, towards), leaf)
            assert torch.equal(gradient, together[f"{part} {index}"]), (part, index)
    fed = given.spikes.clone().requires_grad_()
    outputs = run(runner, replace(given, spikes=fed))
    (gradient,) = torch.autograd.grad(loss_of(outputs, towards), fed)
    assert torch.equal(gradient, together["input"])


@RUNNER
def test_the_gradients_of_outputs_add_up(runner: str, given: Stack) -> None:
    """The gradient is linear in the loss."""
    own, leaves = leaves_of(replace(given, spikes=given.spikes.double()))
    outputs, towards = run(runner, own), loss_weights(given)
    inputs = list(leaves.values())
    together = torch.autograd.grad(loss_of(outputs, towards), inputs, retain_graph=True)
    total = [torch.zeros_like(gradient) for gradient in together]
    for output, weights in zip(outputs, towards, strict=True):
        for name in OUTPUTS:
            one = getattr(output, name)
            options = {"retain_graph": True, "materialize_grads": True}
            part = torch.autograd.grad(one, inputs, weights[name], **options)
            for summed, gradient in zip(total, part, strict=True):
                summed += gradient
    for summed, gradient in zip(total, together, strict=True):
        scale = float(gradient.abs().max())
        torch.testing.assert_close(summed, gradient, rtol=0, atol=1e-11 * scale)


@RUNNER
@pytest.mark.parametrize("layout", ["expanded", "transposed"])
def test_gradients_of_any_layout(runner: str, layout: str) -> None:
    own, leaves = leaves_of(stack((70, 66, 5), initial=True))
    membrane = run(runner, own)[-1].membrane
    towards = torch.ones((), dtype=torch.float64).expand_as(membrane)
    if layout == "transposed":
        towards = torch.randn_like(membrane).transpose(0, 2).contiguous().transpose(0, 2)
    assert not towards.is_contiguous()
    inputs = list(leaves.values())
    actual = torch.autograd.grad(membrane, inputs, towards, retain_graph=True)
    expected = torch.autograd.grad(membrane, inputs, towards.contiguous())
    assert all(map(torch.equal, actual, expected))


@RUNNER
def test_no_second_derivative(runner: str, given: Stack) -> None:
    loss, leaves = run_leaves(runner, given)
    gradients = torch.autograd.grad(loss.square(), leaves, create_graph=True)
    for leaf in leaves:
        with pytest.raises(RuntimeError, match=r"second derivatives .* backend='snntorch'"):
            torch.autograd.grad(sum(g.sum() for g in gradients), leaf, retain_graph=True)


@RUNNER
def test_weights_that_change_in_place_are_noticed(runner: str) -> None:
    own, leaves = leaves_of(stack((70, 66, 5)))
    outputs = run(runner, own)
    with torch.no_grad():
        leaves["weight 1"].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs[-1].membrane.sum().backward()


@RUNNER
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_outputs_without_gradients(runner: str, mode: type) -> None:
    own, _ = leaves_of(stack((70, 66, 3), record="all", final=True))
    with mode():
        outputs = run(runner, own)
    assert not any(getattr(one, name).requires_grad for one in outputs for name in OUTPUTS)


@RUNNER
def test_weights_made_in_inference_mode_run(runner: str) -> None:
    with torch.inference_mode():
        given = stack((70, 66, 3))
    actual, expected = (run(runner, one)[-1] for one in (given, stack((70, 66, 3))))
    assert torch.equal(actual.membrane, expected.membrane)
    assert not actual.membrane.requires_grad

"""The engine within autograd: several graphs, single gradients, and what cannot be differentiated.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist import ops
from spikemnist.models import LeakyMLP
from tests.engine.stacks import (
    OUTPUTS,
    PARTS,
    answer,
    by_engine,
    leaves_of,
    loss_of,
    loss_weights,
    stack,
)

if TYPE_CHECKING:
    from torch import Tensor

    from tests.engine.stacks import Stack

# Sparse input, whose membranes are recomputed in the backward pass; denser input, whose membranes
# are saved; and input for which the matrix product runs.
DENSITIES = [0.1, 0.4, 0.9]


def run_leaves(given: Stack) -> tuple[Tensor, list[Tensor]]:
    """Run fresh leaves; return the loss and the leaves."""
    own, leaves = leaves_of(given)
    outputs = by_engine(own.spikes, own.layers, record=own.record, final=own.final)
    return loss_of(outputs, loss_weights(given)), list(leaves.values())


@pytest.fixture(params=DENSITIES)
def given(request: pytest.FixtureRequest) -> Stack:
    return stack((70, 130, 66, 3), density=request.param, initial=True, record="all", final=True)


def test_differentiating_twice_gives_the_same(given: Stack) -> None:
    loss, leaves = run_leaves(given)
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    copies = [gradient.clone() for gradient in first]
    second = torch.autograd.grad(loss, leaves)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, first, copies))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, leaves)


def test_two_graphs_live_at_once(given: Stack) -> None:
    other = stack((70, 130, 66, 3), seed=9, initial=True, record="all", final=True)
    expected = []
    for one in (given, other):
        loss, leaves = run_leaves(one)
        expected.append(torch.autograd.grad(loss, leaves))
    (loss, leaves), (other_loss, other_leaves) = run_leaves(given), run_leaves(other)
    result = [torch.autograd.grad(loss, leaves), torch.autograd.grad(other_loss, other_leaves)]
    for gradients, wanted in zip(result, expected, strict=True):
        assert all(map(torch.equal, gradients, wanted))


def test_the_gradient_of_a_single_leaf(given: Stack) -> None:
    """With all other leaves frozen, each gradient has the same bits."""
    towards = loss_weights(given)
    everything = answer(by_engine, given, towards).gradients
    for index, params in enumerate(given.layers):
        for part in PARTS:
            leaf = getattr(params, part).clone().requires_grad_()
            layers = list(given.layers)
            layers[index] = replace(params, **{part: leaf})
            outputs = by_engine(given.spikes, layers, record="all", final=True)
            (gradient,) = torch.autograd.grad(loss_of(outputs, towards), leaf)
            assert torch.equal(gradient, everything[f"{part} {index}"]), (part, index)
    fed = given.spikes.clone().requires_grad_()
    outputs = by_engine(fed, given.layers, record="all", final=True)
    (gradient,) = torch.autograd.grad(loss_of(outputs, towards), fed)
    assert torch.equal(gradient, everything["input"])


def test_the_gradients_of_outputs_add_up(given: Stack) -> None:
    """The gradient is linear in the loss."""
    own, leaves = leaves_of(replace(given, spikes=given.spikes.double()))
    outputs = by_engine(own.spikes, own.layers, record="all", final=True)
    towards = loss_weights(given)
    together = torch.autograd.grad(
        loss_of(outputs, towards), list(leaves.values()), retain_graph=True
    )
    total = [torch.zeros_like(gradient) for gradient in together]
    for index in range(len(given.layers)):
        for name in OUTPUTS:
            output = getattr(outputs[index], name)
            part = torch.autograd.grad(
                output,
                list(leaves.values()),
                towards[index][name],
                retain_graph=True,
                allow_unused=True,
            )
            for summed, gradient in zip(total, part, strict=True):
                summed += 0 if gradient is None else gradient
    for summed, gradient in zip(total, together, strict=True):
        scale = float(gradient.abs().max())
        torch.testing.assert_close(summed, gradient, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("layout", ["expanded", "transposed"])
def test_gradients_of_any_layout(layout: str) -> None:
    given = stack((70, 66, 5))
    own, leaves = leaves_of(given)
    outputs = by_engine(own.spikes, own.layers, record="output", final=False)
    if layout == "expanded":
        towards = torch.ones((), dtype=torch.float64).expand_as(outputs[-1].membrane)
    else:
        towards = (
            torch.randn_like(outputs[-1].membrane).transpose(0, 2).contiguous().transpose(0, 2)
        )
    assert not towards.is_contiguous()
    wanted = list(leaves.values())
    result = torch.autograd.grad(outputs[-1].membrane, wanted, towards, retain_graph=True)
    expected = torch.autograd.grad(outputs[-1].membrane, wanted, towards.contiguous())
    assert all(map(torch.equal, result, expected))


def test_no_second_derivative(given: Stack) -> None:
    loss, leaves = run_leaves(given)
    gradients = torch.autograd.grad(loss.square(), leaves, create_graph=True)
    for leaf in leaves:
        with pytest.raises(RuntimeError, match="second derivatives"):
            torch.autograd.grad(sum(g.sum() for g in gradients), leaf, retain_graph=True)


def test_weights_that_change_in_place_are_noticed() -> None:
    own, leaves = leaves_of(stack((70, 66, 5)))
    outputs = by_engine(own.spikes, own.layers, record="output", final=False)
    with torch.no_grad():
        leaves["weight 1"].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs[-1].membrane.sum().backward()


def test_outputs_without_gradients() -> None:
    given = stack((70, 66, 3), record="all", final=True)
    outputs = by_engine(given.spikes, given.layers, record="all", final=True)
    own = leaves_of(given)[0]
    with torch.no_grad():
        outputs += by_engine(own.spikes, own.layers, record="all", final=True)
    with torch.inference_mode():
        outputs += by_engine(own.spikes, own.layers, record="all", final=True)
    assert not any(getattr(one, name).requires_grad for one in outputs for name in OUTPUTS)


def test_weights_made_in_inference_mode_run() -> None:
    with torch.inference_mode():
        given = stack((70, 66, 3))
    outputs = by_engine(given.spikes, given.layers, record="output", final=False)
    expected = stack((70, 66, 3))
    other = by_engine(expected.spikes, expected.layers, record="output", final=False)
    assert torch.equal(outputs[-1].membrane, other[-1].membrane)


class Softened(ops.Surrogate):
    """A surrogate without code in the engine."""

    def derivative_(self, x: Tensor) -> Tensor:
        return x.abs_().add_(1).reciprocal_()


class Steeper(ops.ATan):
    def derivative_(self, x: Tensor) -> Tensor:
        return super().derivative_(x).mul_(3)


@pytest.mark.parametrize("surrogate", [Softened(), Steeper(), lambda x: torch.sigmoid(3 * x)])
@pytest.mark.parametrize("backend", ["auto", "snntorch"])
def test_own_surrogates_use_their_derivative(surrogate: object, backend: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeakyMLP(20, (66,), 3, spike_grad=surrogate, backend=backend).double()
    fed = stack((20, 3), density=0.6).spikes
    results = []
    for chosen in (backend, "reference"):
        model.backend = chosen
        model.zero_grad()
        record = model(fed)
        record.scores.square().sum().backward()
        results.append([record.scores, *(parameter.grad for parameter in model.parameters())])
    for result, expected in zip(*results, strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-13)

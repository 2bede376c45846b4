"""The engine within autograd: graphs that live on, what is differentiated, and what cannot be.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist import engine, ops
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

# Sparse enough that membranes are made again in the backward pass; dense enough that they are
# kept; so dense that the matrix product runs.
DENSITIES = [0.1, 0.4, 0.9]


def run_leaves(given: Stack) -> tuple[Tensor, list[Tensor]]:
    """Run fresh leaves; return the loss and the leaves."""
    own, leaves = leaves_of(given)
    did = by_engine(own.spikes, own.layers, record=own.record, final=own.final)
    return loss_of(did, loss_weights(given)), list(leaves.values())


@pytest.fixture(params=DENSITIES)
def given(request: pytest.FixtureRequest) -> Stack:
    return stack((70, 130, 66, 3), density=request.param, initial=True, record="all", final=True)


def test_differentiating_twice_gives_the_same(given: Stack) -> None:
    loss, leaves = run_leaves(given)
    first = torch.autograd.grad(loss, leaves, retain_graph=True)
    kept = [gradient.clone() for gradient in first]
    second = torch.autograd.grad(loss, leaves)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, first, kept))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, leaves)


def test_two_graphs_are_alive_at_once(given: Stack) -> None:
    """Each has its own memory, whichever is differentiated first."""
    other = stack((70, 130, 66, 3), seed=9, initial=True, record="all", final=True)
    expected = []
    for one in (given, other):
        loss, leaves = run_leaves(one)
        expected.append(torch.autograd.grad(loss, leaves))
    (loss, leaves), (other_loss, other_leaves) = run_leaves(given), run_leaves(other)
    found = [torch.autograd.grad(loss, leaves), torch.autograd.grad(other_loss, other_leaves)]
    for gradients, wanted in zip(found, expected, strict=True):
        assert all(map(torch.equal, gradients, wanted))


def test_gradients_accumulate_and_are_let_go(given: Stack) -> None:
    loss, leaves = run_leaves(given)
    expected = torch.autograd.grad(loss, leaves, retain_graph=True)
    for _ in range(2):
        loss.backward(retain_graph=True)
    for leaf, gradient in zip(leaves, expected, strict=True):
        assert torch.equal(leaf.grad, 2 * gradient)


def test_only_what_is_asked_for_is_differentiated(given: Stack) -> None:
    """Each leaf on its own, all others frozen: the same bits as all of them together."""
    towards = loss_weights(given)
    everything = answer(by_engine, given, towards).gradients
    for index, each in enumerate(given.layers):
        for part in PARTS:
            leaf = getattr(each, part).clone().requires_grad_()
            layers = list(given.layers)
            layers[index] = replace(each, **{part: leaf})
            did = by_engine(given.spikes, layers, record="all", final=True)
            (gradient,) = torch.autograd.grad(loss_of(did, towards), leaf)
            assert torch.equal(gradient, everything[f"{part} {index}"]), (part, index)
    fed = given.spikes.clone().requires_grad_()
    did = by_engine(fed, given.layers, record="all", final=True)
    (gradient,) = torch.autograd.grad(loss_of(did, towards), fed)
    assert torch.equal(gradient, everything["input"])


def test_every_output_by_itself_adds_up(given: Stack) -> None:
    """The gradient is linear in the loss, also where only one of the outputs is in it."""
    own, leaves = leaves_of(replace(given, spikes=given.spikes.double()))
    did = by_engine(own.spikes, own.layers, record="all", final=True)
    towards = loss_weights(given)
    whole = torch.autograd.grad(loss_of(did, towards), list(leaves.values()), retain_graph=True)
    total = [torch.zeros_like(gradient) for gradient in whole]
    for index in range(len(given.layers)):
        for name in OUTPUTS:
            output = getattr(did[index], name)
            part = torch.autograd.grad(
                output,
                list(leaves.values()),
                towards[index][name],
                retain_graph=True,
                allow_unused=True,
            )
            for summed, gradient in zip(total, part, strict=True):
                summed += 0 if gradient is None else gradient
    for summed, gradient in zip(total, whole, strict=True):
        scale = float(gradient.abs().max())
        torch.testing.assert_close(summed, gradient, rtol=0, atol=1e-11 * scale)


def test_the_gradient_does_not_change_what_it_is_given(given: Stack) -> None:
    own, leaves = leaves_of(given)
    did = by_engine(own.spikes, own.layers, record="all", final=True)
    towards = torch.randn_like(did[-1].membrane)
    kept = towards.clone()
    first = torch.autograd.grad(
        (did[-1].membrane, did[-1].spikes), leaves["weight 0"], (towards, towards)
    )
    assert torch.equal(towards, kept)
    assert first[0].isfinite().all()


@pytest.mark.parametrize("layout", ["expanded", "transposed"])
def test_gradients_of_any_layout(layout: str) -> None:
    given = stack((70, 66, 5))
    own, leaves = leaves_of(given)
    did = by_engine(own.spikes, own.layers, record="output", final=False)
    if layout == "expanded":
        towards = torch.ones((), dtype=torch.float64).expand_as(did[-1].membrane)
    else:
        towards = torch.randn_like(did[-1].membrane).transpose(0, 2).contiguous().transpose(0, 2)
    assert not towards.is_contiguous()
    wanted = list(leaves.values())
    found = torch.autograd.grad(did[-1].membrane, wanted, towards, retain_graph=True)
    expected = torch.autograd.grad(did[-1].membrane, wanted, towards.contiguous())
    assert all(map(torch.equal, found, expected))


def test_there_is_no_second_derivative(given: Stack) -> None:
    loss, leaves = run_leaves(given)
    gradients = torch.autograd.grad(loss.square(), leaves, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|no autograd formula"):
        sum(gradient.sum() for gradient in gradients).backward()


def test_weights_that_changed_in_between_are_noticed() -> None:
    """As everywhere in torch: the gradient would be that of other weights."""
    own, leaves = leaves_of(stack((70, 66, 5)))
    did = by_engine(own.spikes, own.layers, record="output", final=False)
    with torch.no_grad():
        leaves["weight 1"].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        did[-1].membrane.sum().backward()


def test_outputs_may_be_changed_in_place() -> None:
    own, leaves = leaves_of(stack((70, 66, 5)))
    did = by_engine(own.spikes, own.layers, record="output", final=False)
    (expected,) = torch.autograd.grad(
        2 * did[-1].membrane.sum(), leaves["weight 0"], retain_graph=True
    )
    changed = did[-1].membrane.mul_(2)
    (found,) = torch.autograd.grad(changed.sum(), leaves["weight 0"])
    assert torch.equal(found, expected)


@pytest.mark.parametrize("frozen", ["weight", "bias", "everything"])
def test_gradients_pass_through_a_frozen_layer(frozen: str) -> None:
    given = stack((70, 130, 66, 3))
    towards = loss_weights(given)
    expected = answer(by_engine, given, towards).gradients
    own, leaves = leaves_of(given)
    parts = PARTS[:4] if frozen == "everything" else (frozen,)
    for part in parts:
        leaves[f"{part} 1"].requires_grad_(False)
    did = by_engine(own.spikes, own.layers, record="output", final=False)
    wanted = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    gradients = torch.autograd.grad(loss_of(did, towards), list(wanted.values()))
    for name, gradient in zip(wanted, gradients, strict=True):
        assert torch.equal(gradient, expected[name]), name


def test_nothing_is_differentiated_where_nothing_asks() -> None:
    given = stack((70, 66, 3), record="all", final=True)
    did = by_engine(given.spikes, given.layers, record="all", final=True)
    own = leaves_of(given)[0]
    with torch.no_grad():
        did += by_engine(own.spikes, own.layers, record="all", final=True)
    with torch.inference_mode():
        did += by_engine(own.spikes, own.layers, record="all", final=True)
    assert not any(getattr(one, name).requires_grad for one in did for name in OUTPUTS)


def test_weights_made_in_inference_mode_run() -> None:
    with torch.inference_mode():
        given = stack((70, 66, 3))
    did = by_engine(given.spikes, given.layers, record="output", final=False)
    expected = stack((70, 66, 3))
    other = by_engine(expected.spikes, expected.layers, record="output", final=False)
    assert torch.equal(did[-1].membrane, other[-1].membrane)


class Softened(ops.Surrogate):
    """A surrogate that the engine has no code for."""

    def derivative_(self, x: Tensor) -> Tensor:
        return x.abs_().add_(1).reciprocal_()


class Steeper(ops.ATan):
    def derivative_(self, x: Tensor) -> Tensor:
        return super().derivative_(x).mul_(3)


@pytest.mark.parametrize("surrogate", [Softened(), Steeper(), lambda x: torch.sigmoid(3 * x)])
@pytest.mark.parametrize("backend", ["auto", "snntorch"])
def test_surrogates_of_ones_own_go_through_their_derivative(
    surrogate: object, backend: str
) -> None:
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
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)


def test_a_surrogate_without_a_name_is_refused() -> None:
    each = replace(stack((5, 3)).layers[0], spike_grad=Softened())
    with pytest.raises(ValueError, match="Softened"):
        engine.run([each], torch.zeros(2, 1, 5))

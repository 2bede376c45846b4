"""Losses on the sum of membranes over time, whose adjoint is a number for each timestep.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` neurons of the last layer.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spikemnist.engine import separable
from tests.engine.cases import by_engine
from tests.laws.agreement import assert_gradients_agree, magnitudes, roundings
from tests.laws.layers import by_reference
from tests.laws.runners import Answer, answer
from tests.laws.stacks import Stack, stack

LEARNT = ("weight", "bias")
SINGLE = {"dtype": torch.float32}


def learn(given: Stack, *, expanded: bool) -> Answer:
    """Differentiate with respect to weights, biases and input alone.

    The gradient of the membranes is the same at every timestep: a view where it is ``expanded``,
    else written out.
    """
    leaves: dict[str, Tensor] = {"input": given.spikes.double().requires_grad_()}
    layers = []
    for index, params in enumerate(given.layers):
        own = {part: getattr(params, part).clone().requires_grad_() for part in LEARNT}
        leaves |= {f"{part} {index}": leaf for part, leaf in own.items()}
        layers.append(replace(params, **own))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outputs = by_engine(leaves["input"], layers, record=given.record, final=False)
    membrane = outputs[-1].membrane
    gradient = towards(given).expand(membrane.shape)
    gradients = torch.autograd.grad(
        membrane, list(leaves.values()), gradient if expanded else gradient.contiguous()
    )
    return Answer([], dict(zip(leaves, gradients, strict=True)))


def towards(given: Stack) -> Tensor:
    random, last = torch.Generator().manual_seed(1), given.layers[-1]
    shape = (given.spikes.shape[1], len(last.bias))
    return torch.randn(shape, generator=random, dtype=torch.float64).to(last.beta.dtype)


def assert_written_out_is_the_same(given: Stack) -> None:
    result, expected = learn(given, expanded=True), learn(given, expanded=False)
    everything = replace(given, record="all")
    loss = [{}, {}, {}][: len(given.layers) - 1]
    loss.append({"membrane": towards(given).expand(len(given.spikes), -1, -1)})
    run = answer(by_reference, everything, loss)
    sizes = magnitudes(everything, loss, run)
    unit = torch.finfo(given.layers[0].beta.dtype).eps / 2
    # Both sides round, and a power of beta once for each timestep more.
    tolerance = 2 * (roundings(given) + len(given.spikes)) * unit
    assert_gradients_agree(result, expected, sizes, tolerance)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each adjoint that is separated."""
    calls: list[int] = []
    separate = separable.separate

    def count(gradient: Tensor, beta: float) -> separable.Separable:
        calls.append(len(gradient))
        return separate(gradient, beta)

    monkeypatch.setattr(separable, "separate", count)
    return calls


@pytest.mark.parametrize("reset_mechanism", ["subtract", "none"])
@pytest.mark.parametrize("beta", [0.9, 1.3, -0.2])
@pytest.mark.parametrize("classes", [3, 70])
def test_the_same_gradient_written_out(
    reset_mechanism: str, beta: float, classes: int, counted: list[int]
) -> None:
    """A wide layer's adjoint goes through the matrix product, and betas are clamped."""
    given = stack((70, 130, classes), beta=beta, reset_mechanism=reset_mechanism, **SINGLE)
    assert_written_out_is_the_same(given)
    assert counted == [7]


@pytest.mark.parametrize("sizes", [(70, 3), (70, 130, 66, 3)])
def test_with_any_number_of_layers(sizes: tuple[int, ...], counted: list[int]) -> None:
    given = stack(sizes, beta=0.8, density=0.1, **SINGLE)
    assert_written_out_is_the_same(given)
    assert counted == [7]


def test_behind_dropout(counted: list[int]) -> None:
    assert_written_out_is_the_same(stack((70, 130, 3), beta=0.8, dropout=0.4))
    assert counted == [7]


@pytest.mark.usefixtures("threads")
def test_any_number_of_threads_makes_the_same_bits(counted: list[int]) -> None:
    given = stack((784, 300, 10), steps=25, batch=64, beta=0.9, dtype=torch.float32)
    results = []
    for count in (1, 2, 8):
        torch.set_num_threads(count)
        results.append(learn(given, expanded=True).gradients)
    assert counted == [25, 25, 25]
    for gradients in results[1:]:
        for name, gradient in gradients.items():
            if name != "input":  # whose last step is a matrix product of torch
                assert torch.equal(gradient, results[0][name]), name


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(
            stack((70, 66, 3), beta=0.8, reset_mechanism="zero", **SINGLE), id="reset to zero"
        ),
        pytest.param(stack((70, 66, 3), **SINGLE), id="a beta for each neuron"),
        pytest.param(stack((70, 66, 3), beta=0.8, steps=1, **SINGLE), id="one timestep"),
    ],
)
def test_other_networks_take_the_long_way(given: Stack, counted: list[int]) -> None:
    assert_written_out_is_the_same(given)
    assert counted == []


def test_learnt_parameters_and_other_losses_take_the_long_way(counted: list[int]) -> None:
    given = stack((70, 66, 3), beta=0.8, **SINGLE)
    constant = towards(given).expand(7, -1, -1)
    learnt = answer(by_engine, given, [{}, {"membrane": constant}])
    assert learnt.gradients["beta 1"] is not None
    spikes = {"membrane": constant, "spikes": torch.randn(7, 3, 3)}
    answer(by_engine, given, [{}, spikes])
    assert counted == []

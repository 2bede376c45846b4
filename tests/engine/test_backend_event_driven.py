"""Networks on the engine by its name, beside the laws of all backends."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch
import torch
from torch import nn
from torch.nn import functional

from spikemnist import LeakyMLP, accelerate, ops
from spikemnist.engine.slopes import FORMULAS
from tests.models.stepped_network import images, loss, neuron
from tests.models.test_compile import Scores
from tests.models.test_leaky_mlp_module import perceptron, spikes
from tests.models.test_oracle import LEARN

KERNELS = (12, 1, 5, 5)


def test_kernels_of_the_engine_cannot_be_traced() -> None:
    model, spikes = (
        LeakyMLP((4,), in_features=9, out_features=3, backend="event_driven"),
        images(side=3),
    )
    message = r"torch\.compile and torch\.export cannot trace its kernels"
    with pytest.raises(ValueError, match=message):
        torch.compile(lambda: model(spikes).scores, backend="aot_eager")()
    with pytest.raises(ValueError, match=message):
        torch.export.export(Scores(model), (spikes,), strict=False)


def test_batch_normalisation_on_either_backend() -> None:
    options: dict[str, Any] = {"batch_norm": True, "dropout": 0.25, "input_dropout": 0.4}
    backends: list[Any] = ["reference", "event_driven"]
    models = [perceptron(backend=backend, **options).double() for backend in backends]
    images, labels = spikes().double(), torch.tensor([0, 1, 2])
    for _ in range(3):
        for model in models:
            torch.manual_seed(3)
            model.zero_grad()
            functional.cross_entropy(model(images).scores, labels).backward()
            torch.optim.SGD(model.parameters(), lr=0.5).step()
    one, other = (model.eval() for model in models)
    torch.testing.assert_close(one.state_dict(), other.state_dict())
    torch.testing.assert_close(one(images).membrane, other(images).membrane)
    modules = [module for layer in one.network for module in layer]
    hidden = [nn.Linear, nn.BatchNorm1d, snntorch.Leaky]
    expected = [nn.Dropout, nn.Flatten, *hidden, nn.Dropout, *hidden, nn.Dropout]
    assert [type(module) for module in modules] == [*expected, nn.Linear, snntorch.Leaky]
    dropouts = [module.p for module in modules if isinstance(module, nn.Dropout)]
    assert dropouts == [0.4, 0.25, 0.25]


def test_surrogate_of_ones_own() -> None:
    with pytest.raises(ValueError, match=r"do not know the surrogate <.*>, in network\[0\]\.leaky"):
        perceptron(spike_grad=torch.sigmoid, backend="event_driven")


def test_neurons_of_each_pixel_start_where_their_state_is() -> None:
    """Channels come last in the engine's memory, and first in a state and in parameters."""
    random = torch.Generator().manual_seed(0)
    shape = (3, 2, 5)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 2),
        nn.MaxPool2d(2),
        neuron(beta=torch.rand(shape), threshold=torch.rand(3, 1, 1) + 0.1, **LEARN),
        nn.Flatten(),
        nn.Linear(30, 4),
        neuron(output=True),
    ).double()
    given = (torch.rand(6, 2, 1, 5, 11, generator=random) < 0.4).double()
    state = [torch.rand(2, *item, generator=random).double() for item in (shape, (4,))]
    result = []
    for backend in ("reference", "event_driven"):
        leaves = [item.clone().requires_grad_() for item in state]
        record = accelerate(network, backend=backend)(given, record="all", state=leaves)
        membranes = [item.membrane for item in record.layers]
        total = loss(record.spikes, record.membrane) + membranes[0].square().sum()
        expected = [*network.parameters(), *leaves]
        result.append([*membranes, *record.state, *torch.autograd.grad(total, expected)])
    for one, other in zip(*result, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("steps", "batch", "weight", "runs"),
    [
        (1, 1, (1, 2), "event_driven"),
        (3, 1, KERNELS, "reference"),
        (1, 3, KERNELS, "reference"),
        (2, 2, KERNELS, "event_driven"),
    ],
)
def test_auto_leaves_a_few_images_to_the_reference(
    steps: int, batch: int, weight: tuple[int, ...], runs: str
) -> None:
    spikes = torch.zeros(steps, batch, *((2,) if len(weight) == 2 else (1, 28, 28)))
    assert ops.select_backend("auto", spikes, torch.zeros(weight)) == runs


@pytest.mark.parametrize(
    ("weight", "why"),
    [
        (torch.zeros(3, 2).bfloat16(), "float32 and float64, and the model is in torch.bf"),
        (torch.zeros(3, 2, device="meta"), "on the CPU, and the model is on meta"),
    ],
)
def test_the_engine_says_why_it_cannot_serve(weight: torch.Tensor, why: str) -> None:
    spikes = torch.zeros(25, 128, 2)
    assert ops.select_backend("auto", spikes, weight) == "reference"
    with pytest.raises(ValueError, match=f"backend='event_driven' cannot run this: .*{why}"):
        ops.select_backend("event_driven", spikes, weight)


def test_the_engine_does_not_serve_autocast() -> None:
    weight = torch.zeros(3, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ops.select_backend("auto", torch.zeros(25, 128, 2), weight) == "reference"
        with pytest.raises(ValueError, match="autocast asks for another precision"):
            ops.select_backend("event_driven", weight=weight)


def test_formula_of_each_surrogate() -> None:
    """A new surrogate needs one in the kernels of the CPU, and one in those of Triton."""
    assert {*FORMULAS} == {*ops.SURROGATES.values()}

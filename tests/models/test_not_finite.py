"""Parameters that are infinite or not a number: never hidden, and looked at once.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import copy
import gc
import math
from typing import TYPE_CHECKING, Any

import pytest
import snntorch
import torch
from torch import nn

from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate, finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    Model = Any

SPIKES = (torch.rand(20, 6, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.2).float()
SPIKES[..., 0, 0] = 0  # a silent input


def own() -> nn.Sequential:
    neurons = (snntorch.Leaky(beta=0.9) for _ in range(2))
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 20), next(neurons), nn.Linear(20, 10), next(neurons)
    )


MODELS: dict[str, Callable[[], Model]] = {
    "LeakyMLP": lambda: LeakyMLP(784, (20,), 10),
    "LeakyConvNet": lambda: LeakyConvNet("4C5-P2-10", batch_norm=True),
    "accelerate": lambda: accelerate(own()),
}
PARAMETERS = ["weight", "bias", "beta", "threshold"]


def spoil(model: Model, name: str, number: float) -> str:
    """Make the first number of that name in the model what is given; return its place."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    place, tensor = next(pair for pair in tensors if pair[0].split(".")[-1] == name)
    with torch.no_grad():
        tensor.view(-1)[0] = number
    return place


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("kind", MODELS)
def test_what_is_not_finite_is_shown(kind: str, name: str, number: float) -> None:
    model = MODELS[kind]()
    assert model(SPIKES).backend == "event_driven"
    spoil(model, name, number)
    found = model(SPIKES)
    assert found.backend == "reference"
    model.backend = "reference"
    expected = model(SPIKES)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=0, equal_nan=True)
    model.backend = "event_driven"
    with pytest.raises(ValueError, match=rf"\.{name} has NaN or infinite values"):
        model(SPIKES)


@pytest.mark.parametrize("kind", MODELS)
def test_a_parameter_is_looked_at_once_for_each_version(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    look = finite._look

    def counting(tensor: Tensor) -> bool:
        looked.append(id(tensor))
        return look(tensor)

    monkeypatch.setattr(finite, "_look", counting)
    model = MODELS[kind]()
    model(SPIKES)
    assert len(looked) == len(set(looked)) > 0
    looked.clear()
    for _ in range(3):
        model(SPIKES)
    assert not looked
    weight = next(model.parameters())
    weight.mul_(1.5)
    model(SPIKES)
    assert looked == [id(weight)]
    looked.clear()
    weight.data = weight.data.clone()  # as torch says it, the same version
    model(SPIKES)
    assert looked == [id(weight)]


def test_a_training_step_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fit` looks at its loss, its gradients and, after each epoch, its parameters."""
    monkeypatch.setattr(finite, "_look", lambda _: pytest.fail("looked"))
    model = MODELS["LeakyMLP"]()
    with torch.enable_grad():
        model(SPIKES).scores.sum().backward()


def test_copies_and_inference_tensors() -> None:
    model = MODELS["LeakyMLP"]().eval()
    model(SPIKES)
    spoiled = copy.deepcopy(model)
    spoil(spoiled, "weight", math.nan)
    assert model(SPIKES).backend == "event_driven"
    assert spoiled(SPIKES).backend == "reference"
    with torch.inference_mode():
        made = MODELS["LeakyMLP"]()
        assert made(SPIKES).backend == "event_driven"
        spoil(made, "weight", math.inf)
        assert made(SPIKES).backend == "reference"


def test_what_is_gone_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite, "_MANY", 12)
    monkeypatch.setattr(finite, "_known", {})
    for _ in range(4):
        MODELS["LeakyMLP"]()(SPIKES)
        gc.collect()  # a module may be part of a cycle
    assert len(finite._known) <= 12

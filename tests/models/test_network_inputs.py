"""Spikes and states that do not fit a network, and the words of their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate
from tests.models.stepped_network import BACKENDS, conv, mlp, neuron, perceptron

BOTH = pytest.mark.parametrize(
    "model", [LeakyMLP(hidden=(5,)), LeakyConvNet("2C5-P4-3")], ids=["dense", "convolutional"]
)


@BOTH
def test_one_image_without_a_batch(model: Any) -> None:
    with pytest.raises(ValueError, match=r"got shape \(8, 28, 28\)\. Encode .*image\[None\]"):
        model(torch.zeros(8, 28, 28))
    assert model(torch.zeros(8, 28, 28)[:, None]).spikes.shape[:2] == (8, 1)


@BOTH
@pytest.mark.parametrize("shape", [(8,), (8, 2), (0, 2, 784), (0, 2, 28, 28)])
def test_no_hint_where_none_would_help(model: Any, shape: tuple[int, ...]) -> None:
    message = r"expected spikes \[T, B, ...\] with T >= 1 and .*got shape \([\d, ]*\)$"
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(shape))


@BOTH
@pytest.mark.parametrize("shape", [(8, 2, 32, 30), (8, 3, 1, 32, 30)])
def test_samples_of_another_size(model: Any, shape: tuple[int, ...]) -> None:
    """The error has the option with which a network takes them."""
    dense = isinstance(model, LeakyMLP)
    option = "in_features=960" if dense else r"in_shape=\(1, 32, 30\)"
    with pytest.raises(ValueError, match=f"A network for such samples has {option}$"):
        model(torch.zeros(shape))
    other = LeakyMLP(5, in_features=960) if dense else LeakyConvNet("2C5-P4-3", (1, 32, 30))
    assert other(torch.zeros(shape)).spikes.shape[:2] == shape[:2]


def test_channel_axis_may_be_left_out_if_there_is_one_channel() -> None:
    spikes = (torch.rand(4, 2, 28, 28) < 0.3).float()
    model = LeakyConvNet("2C5-P4-3")
    assert torch.equal(model(spikes).scores, model(spikes.unsqueeze(2)).scores)
    with pytest.raises(ValueError, match=r"reshape\(4, 2, 1, 28, 28\)"):
        model(spikes.flatten(2))


def run(network: nn.Sequential, *shape: int) -> object:
    return accelerate(network, backend="reference")(torch.zeros(shape))


COLOURED = LeakyConvNet("2C5-P4-3", in_shape=(3, 28, 20))


@pytest.mark.parametrize("shape", [(8, 2, 28 * 20 * 3), (8, 2, 28, 60), (8, 2, 3, 20, 28)])
def test_values_in_another_order(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"spikes.reshape\(8, 2, 3, 28, 20\)"):
        COLOURED(torch.zeros(shape))


# The calls by the words of their errors.
CALLS: dict[str, Callable[[], Any]] = {
    r"12 values \(in_features\).*got shape \(6, 3, 13\)": lambda: perceptron()(
        torch.zeros(6, 3, 13)
    ),
    "record must be one of output, all; got 'hidden'": lambda: perceptron()(
        torch.zeros(6, 3, 12), record="hidden"
    ),
    "the membranes of 3 layers; got 2": lambda: perceptron()(
        torch.zeros(6, 3, 12), state=(torch.zeros(3, 9),) * 2
    ),
    r"permute\(0, 1, 4, 2, 3\), or images.permute\(0, 3, 1, 2\) before": lambda: COLOURED(
        torch.zeros(8, 2, 28, 20, 3)
    ),
    r"with T >= 1; got shape \(0, 3, 6\)": lambda: run(mlp(6, 4), 0, 3, 6),
    r"expected spikes \[T, B, ...\].*\(5, 6\)": lambda: run(mlp(6, 4), 5, 6),
    r"network\[1\] takes 6 features of each sample at each timestep; got shape \(7,\)$": lambda: (
        run(mlp(6, 4), 5, 3, 7)
    ),
    r"network\[0\] takes 6 features.*; got shape \(2, 6\): put nn.Flatten\(\) before it": lambda: (
        run(nn.Sequential(nn.Linear(6, 4), neuron()), 5, 3, 2, 6)
    ),
    (
        r"network\[0\] flattens dimensions 1 to 2, but a timestep of a sample has the shape "
        r"\(1, 2, 3\), and the kernels flatten all of it: write nn.Flatten\(\)"
    ): lambda: run(nn.Sequential(nn.Flatten(1, 2), nn.Linear(6, 4), neuron()), 5, 3, 1, 2, 3),
    r"network\[2\] takes 4 features of each sample at each timestep; got shape \(5,\)$": lambda: (
        run(nn.Sequential(nn.Linear(6, 5), neuron(), nn.Linear(4, 4), neuron()), 5, 3, 6)
    ),
    (
        r"network\[0\] takes spikes \[T, B, C, H, W\]; a timestep of a sample has the shape "
        r"\(14, 14\) instead of \[C, H, W\]"
    ): lambda: run(conv(), 5, 3, 14, 14),
    (
        r"the last neurons, network\[1\], have the shape \(2, 2, 2\), and scores need one "
        r"neuron for each class: put nn.Flatten\(\) before"
    ): lambda: run(nn.Sequential(nn.Conv2d(1, 2, 3), neuron()), 5, 3, 1, 4, 4),
    (
        r"beta of network\[1\] must be a number or broadcast against its neurons, "
        r"\(4,\); got torch.float32 of shape \(5,\)"
    ): lambda: run(nn.Sequential(nn.Linear(6, 4), neuron(beta=torch.full((5,), 0.5))), 5, 3, 6),
}


@pytest.mark.parametrize("message", CALLS, ids=str)
def test_call_that_does_not_fit(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CALLS[message]()


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_that_does_not_fit(backend: Any) -> None:
    model = accelerate(mlp(6, 5, 4), backend=backend)
    message = r"the state of network\[4\].* must be of shape \(3, 4\); got .* of shape \(3, 5\)"
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(5, 3, 6), state=[torch.zeros(3, 5), torch.zeros(3, 5)])

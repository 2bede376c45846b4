"""What people pass to a network in place of spikes ``[T, B, ...]``, and the error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import snntorch
import torch
from torch import nn

from spikemnist import ops
from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate, decide

if TYPE_CHECKING:
    from collections.abc import Callable


def accelerated() -> Any:
    return accelerate(nn.Sequential(nn.Flatten(), nn.Linear(784, 3), snntorch.Leaky(beta=0.9)))


ARRAYS: dict[str, Callable[[Any], object]] = {
    "LeakyMLP": lambda x: LeakyMLP(hidden=(5,))(x),
    "LeakyConvNet": lambda x: LeakyConvNet("2C5-P4-3")(x),
    "accelerate": lambda x: accelerated()(x),
    "leaky": lambda x: ops.leaky(x, 0.9),
    "decide scores": lambda x: decide(x, torch.zeros(3)),
    "decide membrane": lambda x: decide(torch.zeros(3), x),
}


@pytest.mark.parametrize("call", ARRAYS)
@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (np.asarray, "must be a torch.Tensor .*; got a ndarray; convert it with torch.from_numpy"),
        (
            np.ndarray.tolist,
            "must be a torch.Tensor .*; got a list; convert numbers with torch.tensor",
        ),
    ],
)
def test_arrays_and_lists_in_place_of_a_tensor(
    call: str, kind: Callable[[Any], Any], hint: str
) -> None:
    with pytest.raises(TypeError, match=hint):
        ARRAYS[call](kind(np.zeros((4, 2, 784), np.float32)))


@pytest.mark.parametrize("model", [LeakyMLP(hidden=(5,)), LeakyConvNet("2C5-P4-3")])
def test_one_image_without_a_batch(model: Any) -> None:
    with pytest.raises(ValueError, match=r"got shape \(8, 28, 28\)\. Encode .*image\[None\]"):
        model(torch.zeros(8, 28, 28))
    assert model(torch.zeros(8, 28, 28)[:, None]).spikes.shape[:2] == (8, 1)


@pytest.mark.parametrize("model", [LeakyMLP(hidden=(5,)), LeakyConvNet("2C5-P4-3")])
@pytest.mark.parametrize("shape", [(8, 1, 280, 280), (8, 3, 1, 32, 30)])
def test_an_image_of_another_size(model: Any, shape: tuple[int, ...]) -> None:
    pixels = f"{shape[-2]} x {shape[-1]} pixels to 28 x 28"
    with pytest.raises(ValueError, match=rf"Resize images of {pixels} .*resize\(images, \[28, 28"):
        model(torch.zeros(shape))


@pytest.mark.parametrize("model", [LeakyMLP(hidden=(5,)), LeakyConvNet("2C5-P4-3")])
@pytest.mark.parametrize("shape", [(8,), (8, 2, 5), (0, 2, 784), (0, 2, 28, 28), (8, 2, 3, 28, 28)])
def test_no_hint_where_none_would_help(model: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected spikes \[T, B, ...\].*got shape \([\d, ]*\)$"):
        model(torch.zeros(shape))


COLOURED = LeakyConvNet("2C5-P4-3", in_shape=(3, 28, 20))


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((8, 2, 28, 20, 3), r"permute\(0, 1, 4, 2, 3\), or images.permute\(0, 3, 1, 2\) before"),
        ((8, 2, 28 * 20 * 3), r"spikes.reshape\(8, 2, 3, 28, 20\)"),
        ((8, 2, 28, 60), r"spikes.reshape\(8, 2, 3, 28, 20\)"),
        ((8, 2, 3, 20, 28), r"spikes.reshape\(8, 2, 3, 28, 20\)"),
    ],
)
def test_values_in_another_order_are_refused(shape: tuple[int, ...], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        COLOURED(torch.zeros(shape))


def test_a_channel_axis_may_be_left_out_if_there_is_one_channel() -> None:
    spikes = (torch.rand(4, 2, 28, 28) < 0.3).float()
    model = LeakyConvNet("2C5-P4-3")
    assert torch.equal(model(spikes).scores, model(spikes.unsqueeze(2)).scores)
    with pytest.raises(ValueError, match=r"reshape\(4, 2, 1, 28, 28\)"):
        model(spikes.flatten(2))


def test_a_number_of_hidden_neurons_is_one_layer() -> None:
    model = LeakyMLP(hidden=100)
    assert model.sizes == {"hidden 1": 100, "output": 10}
    assert model.config["hidden"] == LeakyMLP(hidden=(100,)).config["hidden"]
    with pytest.raises(ValueError, match=r"positive integers; got 784, \(0,\), 10"):
        LeakyMLP(hidden=0)

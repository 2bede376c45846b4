"""Models whose weights are not where the input is, as after `fit` on a GPU.

``meta`` stands for the other device: no number is computed there, and an operator with an operand
of the CPU is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import snntorch
import torch
from torch import nn

from spikemnist.encoding import DirectEncoder, Encoder, RateEncoder
from spikemnist.models import LeakyConvNet, LeakyMLP, SpikingNetwork, accelerate
from spikemnist.models.inputs import on_device_of
from tests.models.stepped_network import STEPPED

MODELS: dict[str, Callable[[], LeakyMLP | SpikingNetwork]] = {
    "perceptron": lambda: LeakyMLP((8,), in_features=36, out_features=3),
    **{
        backend: lambda: LeakyMLP((8,), in_features=36, out_features=3, backend="snntorch")
        for backend in STEPPED
    },
    "convolutions": lambda: LeakyConvNet("4C3-P2-3", in_shape=(1, 6, 6)),
    "accelerated": lambda: accelerate(
        nn.Sequential(nn.Flatten(), nn.Linear(36, 3), snntorch.Leaky(beta=0.9))
    ),
}
IMAGES = torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("encoder", [RateEncoder(num_steps=4), DirectEncoder(num_steps=4)])
def test_input_follows_the_weights(model: str, encoder: Encoder) -> None:
    network = MODELS[model]()
    record = network.to("meta")(encoder(IMAGES), record="all", state=None)
    assert record.input is not None
    assert record.scores.shape == (5, 3)
    tensors = (record.scores, record.input, record.spikes, record.predictions, *record.state)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_constant_input_stays_one_timestep() -> None:
    images = DirectEncoder(num_steps=4)(IMAGES.double())
    moved = on_device_of(torch.empty(1, device="meta"), images)
    assert moved.shape == images.shape
    assert moved.stride(0) == 0
    assert moved.dtype == torch.float32  # the GPU of a Mac has no float64


def test_no_copy_of_an_input_in_place() -> None:
    weight, images = torch.empty(1), IMAGES.double()
    assert on_device_of(weight, images) is images

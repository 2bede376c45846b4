"""`LeakyConvNet`: the network that a notation stands for, against snnTorch's loop over time.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` channels, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

from typing import Any

import pytest
import snntorch
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikemnist import (
    Classifier,
    LeakyConvNet,
    TrainConfig,
    evaluate,
    fit,
    load_digits,
    ops,
)
from spikemnist.encoding import LatencyEncoder
from tests.models.stepped_network import BACKENDS, assert_equals_the_loop, lively

SMALL = "3C3-P2-5C3-P2-4"
IN_SHAPE = (2, 14, 14)
TOGETHER = [backend for backend in BACKENDS if backend != "snntorch"]


def make(layers: str = SMALL, in_shape: tuple[int, ...] = IN_SHAPE, **options: Any) -> LeakyConvNet:
    model = LeakyConvNet(layers, in_shape, **options)
    lively(model.network)
    return model


def spikes(steps: int = 6, batch: int = 3, shape: Any = IN_SHAPE) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return (torch.rand(steps, batch, *shape, generator=random) < 0.4).float()


def test_default_layers() -> None:
    modules = [
        nn.Conv2d(1, 12, 5),
        nn.MaxPool2d(2),
        snntorch.Leaky(beta=0.95),
        nn.Conv2d(12, 64, 5),
        nn.MaxPool2d(2),
        snntorch.Leaky(beta=0.95),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 10),
        snntorch.Leaky(beta=0.95),
    ]
    model = LeakyConvNet()
    built = [module for layer in model.network for module in layer]
    for module, expected in zip(built, modules, strict=True):
        assert type(module) is type(expected)
        assert module.extra_repr() == expected.extra_repr()
    assert model.sizes == {"hidden 1": 1728, "hidden 2": 1024, "output": 10}


@pytest.mark.parametrize(
    ("layers", "in_shape", "sizes"),
    [
        ("12C5-P2-64C5-P2-10", (2, 34, 34), [12 * 15 * 15, 64 * 5 * 5, 10]),
        ("4C5p2-AP2-10", (1, 28, 28), [4 * 14 * 14, 10]),
        ("4C5s2p2-10", (1, 28, 28), [4 * 14 * 14, 10]),
        ("4C3-8C3-P2-P2-20-10", (3, 12, 10), [4 * 10 * 8, 8 * 2 * 1, 20, 10]),
        ("20-10", (1, 28, 28), [20, 10]),
        ("10", (1, 1, 1), [10]),
    ],
)
def test_sizes_by_the_notation(layers: str, in_shape: tuple[int, ...], sizes: list[int]) -> None:
    model = LeakyConvNet(layers, in_shape)
    assert list(model.sizes.values()) == sizes
    record = model(spikes(2, 2, shape=in_shape), record="all")
    assert [layer.spikes[0, 0].numel() for layer in record.layers] == sizes
    assert dict(record.sizes) == model.sizes


BY_CHANNEL: dict[str, Any] = {
    "beta": [[0.2, 0.5, 0.9], 0.8, [0.1, 0.3, 0.5, 0.7]],
    "threshold": [0.5, [0.4, 0.6, 0.8, 1.0, 1.2], 1.0],
    "learn_beta": True,
    "learn_threshold": True,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "numbers for each channel": BY_CHANNEL,
    "padding, stride and average": {"layers": "3C3p1-AP2-5C3s2-6-4"},
    "dense alone": {"layers": "9-4"},
}


@pytest.mark.parametrize("backend", TOGETHER)
@pytest.mark.parametrize("name", OPTIONS)
def test_all_timesteps_at_once_equal_the_loop(name: str, backend: str) -> None:
    assert_equals_the_loop(make(**OPTIONS[name]).network, spikes(), backend)


@pytest.mark.parametrize("backend", TOGETHER)
def test_batch_normalisation_over_time_and_batch(backend: str) -> None:
    model = make("3C3-P2-4", batch_norm=True, backend=backend).double()
    convolution, norm = model.network[0].conv, model.network[0].norm
    norm.weight.data.copy_(torch.tensor([0.5, 1.0, 1.5]))
    norm.bias.data.copy_(torch.tensor([-0.2, 0.0, 0.2]))
    images = spikes().double()
    current = convolution(images.flatten(0, 1))
    mean, variance = current.mean((0, 2, 3)), current.var((0, 2, 3), unbiased=False)
    record = model(images, record="all")
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)
    normalised = (current - mean.view(-1, 1, 1)) / (variance.view(-1, 1, 1) + norm.eps).sqrt()
    normalised = normalised * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    pooled = functional.max_pool2d(normalised, 2).unflatten(0, (6, 3))
    fired, membrane = ops.leaky(pooled, model.network[0].leaky.beta)
    torch.testing.assert_close(record.layers[0].membrane, membrane)
    assert torch.equal(record.layers[0].spikes, fired)


def test_places_of_dropout() -> None:
    """In front of the weights of each layer."""
    model = make(dropout=0.25, input_dropout=0.1)
    assert [next(layer.named_children())[0] for layer in model.network] == ["dropout"] * 3
    assert [layer.dropout.p for layer in model.network] == [0.1, 0.25, 0.25]


def test_learning_digits() -> None:
    train, test = load_digits()
    network = LeakyConvNet("6C5-P2-12C5-P2-10", batch_norm=True, seed=0)
    classifier = Classifier(network, LatencyEncoder(num_steps=4))
    config = TrainConfig(epochs=3, lr=0.02, batch_size=16, schedule="one_cycle")
    fit(classifier, train[:500], config, device="cpu", progress=False)
    assert evaluate(classifier, test, device="cpu").accuracy > 0.85

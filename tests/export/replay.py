"""Whether a network that was exported fires the spikes of the one it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikemnist import Classifier, LeakyConvNet, LeakyMLP, load_digits
from spikemnist.models import Record

DIGITS = load_digits()[1][:50]
CLOSE = 1e-4
"""Largest distance between membrane and threshold that rounding explains. A current is a sum of up
to 784 weights below 1, rounded in another order, 784 * 2**-24 = 5e-5, and membranes add it up."""


def draw_network(layers: str, seed: int, **options: Any) -> LeakyMLP | LeakyConvNet:
    """Return an untrained network, convolutional or with dense hidden layers, in evaluation."""
    torch.manual_seed(seed)
    options = {"threshold": 0.4, **options}
    if "C" in layers:
        return LeakyConvNet(layers, **options).eval()
    return LeakyMLP(hidden=tuple(map(int, layers.split())), **options).eval()


def normalised(model: LeakyMLP | LeakyConvNet) -> LeakyMLP | LeakyConvNet:
    """Return a model whose batch normalisations have seen something."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor in (module.weight, module.bias, module.running_mean):
                assert tensor is not None
                tensor.data.uniform_(-0.5, 0.5)
            assert module.running_var is not None
            module.running_var.uniform_(0.2, 2)
    return model.eval()


def watch(classifier: Classifier) -> Record:
    """Return the Record of the digits."""
    with torch.no_grad():
        return classifier.eval()(DIGITS.images, record="all")


def samples_that_differ(record: Record, replayed: Sequence[NDArray[np.generic]]) -> int:
    """Return how many samples fire other spikes, after a check that rounding explains each.

    Parameters
    ----------
    record
        Made with ``record="all"``.
    replayed
        Spikes of each layer, ``[T, B, ...]``.
    """
    steps, samples = record.spikes.shape[:2]
    differs = np.zeros(samples, bool)
    for t in range(steps):  # what comes after the first difference of a sample follows from it
        for layer, spikes in zip(record.layers, replayed, strict=True):
            ours = layer.spikes[t].detach().numpy()
            assert ours.shape == spikes[t].shape
            other = (ours != spikes[t]).reshape(samples, -1)
            far = (layer.membrane[t] - layer.threshold).abs().detach().reshape(samples, -1).numpy()
            new = other.any(1) & ~differs
            assert (far[new][other[new]] < CLOSE).all()
            differs |= new
    return int(differs.sum())

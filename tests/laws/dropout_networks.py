"""Networks with dropout in any place, for images of 14 x 14, and runs of one seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from spikemnist import ops
from spikemnist.models import LeakyMLP
from tests.models.stepped_network import neuron

Network = Callable[[], nn.Module]
P = 0.3


def seeded(run: Callable[[], Any], seed: int = 5) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return run()


def leaky() -> nn.Module:
    return neuron(spike_grad=ops.ATan(), learn_beta=True)


def output(features: int = 9) -> list[nn.Module]:
    return [nn.Linear(features, 4), leaky()]


def on_the_input() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Dropout(P), nn.Linear(196, 9), leaky(), *output())


def between_layers() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 9), leaky(), nn.Dropout(P), *output())


def behind_a_convolution() -> nn.Sequential:
    """The convolution leaves nine neurons, as many as the others have."""
    before = nn.Conv2d(1, 1, 12), leaky(), nn.Dropout(P / 3), nn.Flatten()
    return nn.Sequential(*before, nn.Dropout(P), *output())


def on_the_current() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(196, 9), nn.Dropout(P), leaky(), *output())


def of_everything() -> nn.Sequential:
    first = nn.Conv2d(1, 2, 5), nn.MaxPool2d(2), leaky(), nn.Dropout(P)
    second = nn.Conv2d(2, 1, 3), leaky(), nn.Dropout(P / 2), nn.Identity(), nn.Dropout(P)
    last = nn.Flatten(), *output(), nn.Dropout(P), *output(4)
    return nn.Sequential(nn.Dropout(P), *first, *second, *last)


def one_module_in_two_places() -> nn.Sequential:
    dropout = nn.Dropout(P)
    return nn.Sequential(nn.Flatten(), dropout, nn.Linear(196, 9), dropout, leaky(), *output())


def perceptron() -> nn.Module:
    return LeakyMLP(
        (65, 9), in_features=196, out_features=4, dropout=0.2, input_dropout=P, learn_beta=True
    ).network


PLACES = [on_the_input, between_layers, behind_a_convolution, on_the_current]
EVERYWHERE = [*PLACES, of_everything, one_module_in_two_places, perceptron]

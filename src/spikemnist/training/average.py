r"""A moving average of the weights.

.. math:: \bar w_t = d_t \bar w_{t-1} + (1 - d_t) w_t, \qquad d_t = \min(d, \frac{1 + t}{10 + t})

after step t. The random initial weights soon lose their influence, even in a short run.

Polyak, Juditsky, *Acceleration of stochastic approximation by averaging*, SIAM Journal on Control
and Optimization 30, 1992.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


@dataclass
class MovingAverage:
    """Moving average of a model's state dict.

    Attributes
    ----------
    decay : float
        :math:`d`, in [0, 1).
    weights : dict of str to torch.Tensor
        Averages of floating tensors; other tensors hold the latest values of the model.
    steps : int
        Number of steps in the average.
    """

    decay: float
    weights: dict[str, Tensor]
    steps: int = 0

    def update(self, model: nn.Module) -> None:
        """Add the weights after a step to the average."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        latest = _tensors(model)
        floating = [name for name, tensor in latest.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(
            [self.weights[name] for name in floating], [latest[name] for name in floating], share
        )
        for name in latest.keys() - floating:
            self.weights[name].copy_(latest[name])

    def restore(self, weights: dict[str, Tensor], steps: int) -> None:
        """Continue from a saved average."""
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])
        self.steps = steps

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Load the average into the model for the duration of the context."""
        tensors = _tensors(model)
        latest = {name: tensor.clone() for name, tensor in tensors.items()}
        try:
            self.give_to(model)
            yield
        finally:
            for name, tensor in tensors.items():
                tensor.copy_(latest[name])

    def give_to(self, model: nn.Module) -> None:
        """Load the average into the model for good."""
        for name, tensor in _tensors(model).items():
            tensor.copy_(self.weights[name])


def average_of(model: nn.Module, decay: float) -> MovingAverage:
    """Return an average that begins with the weights of a model."""
    return MovingAverage(decay, {name: each.clone() for name, each in _tensors(model).items()})


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: value.detach()
        for name, value in model.state_dict().items()
        if isinstance(value, torch.Tensor)
    }

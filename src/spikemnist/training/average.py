r"""A moving average of the weights.

.. math:: \bar w_t = d_t \bar w_{t-1} + (1 - d_t) w_t, \qquad d_t = \min(d, \frac{1 + t}{10 + t})

after step t. The random initial weights soon lose their influence, even in a short run.

Polyak, Juditsky, *Acceleration of stochastic approximation by averaging*, SIAM Journal on Control
and Optimization 30, 1992.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn


@dataclass
class MovingAverage:
    """Moving average of a model's state dict.

    Attributes
    ----------
    decay : float
        :math:`d`, in [0, 1).
    weights : dict
        Averages of floating tensors; integer ones hold the latest values of the model.
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
        for name, latest in model.state_dict().items():
            if latest.is_floating_point():
                # A resumed average comes from a file, and so from the CPU.
                self.weights[name] = self.weights[name].to(latest.device).lerp_(latest, share)
            else:
                self.weights[name] = latest.clone()


@contextmanager
def loaded(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Load weights into a model within the context; then restore state, modes and gradients.

    No copy of the model would do: that of a pruned one, or of neurons that keep a graph, fails.
    """
    latest = copy.deepcopy(model.state_dict())
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    model.load_state_dict(weights)
    try:
        yield
    finally:
        model.load_state_dict(latest)
        for module, training in modes:
            module.training = training
        for parameter, gradient in gradients:
            parameter.grad = gradient

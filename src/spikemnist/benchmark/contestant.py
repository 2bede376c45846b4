"""What is asked of everyone who takes part, and how networks of torch modules answer.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer, ``C`` classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

STAGES = ("encode", "forward", "inference", "forward+backward", "training step")
"""What is timed. Encoding, inference and the training step begin with pixels; the other two are
given their spikes."""

LEARNING_RATE = 1e-5
"""Adam does all its work, yet the weights, and with them the spikes, stay what was checked."""


class Contestant(Protocol):
    """A network of leaky neurons, its encoder and its optimiser.

    Attributes
    ----------
    name
        In tables and pictures.
    differs
        In what it does not compute the same as `snntorch.Leaky`; empty when it does.
    """

    name: str
    differs: str

    def lay_out(self, spikes: Tensor) -> Any:
        """Return spikes ``[T, B, F]`` in the layout that its own encoder would have given them."""

    def encode(self, pixels: Any) -> Any:
        """Turn float pixels ``[B, F]`` into its spikes."""

    def forward(self, spikes: Any) -> object:
        """Return class scores, the mean of the output membranes, and keep nothing else."""

    def backward(self, spikes: Any, labels: Any) -> object:
        """Run forward, take the cross-entropy of the scores, and the gradient of all weights."""

    def step(self, pixels: Any, labels: Any) -> object:
        """Encode, run forward and backward, and let fused Adam change the weights."""

    def trace(self, spikes: Any) -> list[tuple[Tensor, Tensor]]:
        """Return each layer's spikes and the membranes that decided them, ``[T, B, N]`` both."""

    def gradients(
        self, spikes: Any, labels: Tensor | None, weights: Tensor
    ) -> tuple[float, list[Tensor]]:
        """Return a loss and its gradient with respect to each layer's weight and bias.

        Parameters
        ----------
        spikes
            As `lay_out` returns them.
        labels
            ``[B]``: the loss is the cross-entropy of the scores, averaged with ``weights``
            ``[B]``. Without labels it is the sum of the output spikes, weighted by ``weights``
            ``[B, N]``.
        weights
            Zero for what must not count.
        """


class TorchContestant(ABC):
    """A network of torch modules; a subclass says how it encodes and how it runs.

    Parameters
    ----------
    module
        Holds the parameters.
    layers
        The `torch.nn.Linear` in front of each layer of neurons.
    """

    name: str
    differs = ""

    def __init__(self, module: nn.Module, layers: Sequence[nn.Linear]) -> None:
        self.module = module
        self.layers = layers
        self.optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Turn float pixels ``[B, F]`` into its spikes."""

    @abstractmethod
    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane, ``[B, C]``."""

    @abstractmethod
    def fired(self, spikes: Tensor) -> Tensor:
        """Return the output spikes, in the layout of the spikes that came."""

    @abstractmethod
    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each layer's spikes and the membranes that decided them, ``[T, B, N]`` both."""

    def lay_out(self, spikes: Tensor) -> Tensor:
        """Return the spikes as float32, ``[T, B, F]``."""
        return spikes.float()

    def forward(self, spikes: Tensor) -> Tensor:
        """Return the scores without a graph."""
        with torch.no_grad():
            return self.scores(spikes)

    def backward(self, spikes: Tensor, labels: Tensor) -> Tensor:
        """Return the loss; the gradients are in the parameters."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self.scores(spikes), labels)
        torch.autograd.backward(loss)
        return loss.detach()

    def step(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a training step."""
        loss = self.backward(self.encode(pixels), labels)
        self.optimizer.step()
        return loss

    def gradients(
        self, spikes: Tensor, labels: Tensor | None, weights: Tensor
    ) -> tuple[float, list[Tensor]]:
        """Return a loss and its gradients; see `Contestant.gradients`."""
        self.optimizer.zero_grad(set_to_none=True)
        if labels is None:
            loss = (self.time_first(self.fired(spikes)) * weights).sum()
        else:
            losses = functional.cross_entropy(self.scores(spikes), labels, reduction="none")
            loss = (losses * weights).sum() / weights.sum()
        torch.autograd.backward(loss)
        found = [p.grad for layer in self.layers for p in (layer.weight, layer.bias)]
        return loss.item(), [torch.zeros(()) if grad is None else grad.clone() for grad in found]

    def time_first(self, signal: Tensor) -> Tensor:
        """Return a signal in its own layout as ``[T, B, ...]``."""
        return signal

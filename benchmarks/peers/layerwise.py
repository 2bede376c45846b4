"""Networks run layer by layer: one matrix product for all timesteps, then the neurons over time.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.candidates import Candidate, copy_of

if TYPE_CHECKING:
    from benchmarks.peers.dynamics import Dynamics
    from benchmarks.workload import Workload

Keep = Literal["spikes", "membrane", "both"]


class Layerwise(Candidate):
    """A network that runs each layer over all timesteps before the next layer.

    Parameters
    ----------
    layers : sequence of torch.nn.Module
        Layers with the initial weights, which are copied.
    neurons : sequence of torch.nn.Module
        One module for each layer.
    workload : Workload or None
        Workload that defines the encoder; None if the input is given directly.
    scale : float, default 1.0
        Factor on the weights, for neurons that divide their input by it.
    """

    dynamics: Dynamics
    time_axis = 0

    def __init__(
        self,
        layers: Sequence[nn.Module],
        neurons: Sequence[nn.Module],
        workload: Workload | None,
        scale: float = 1.0,
    ) -> None:
        self.layers = [copy_of(layer, scale) for layer in layers]
        super().__init__(nn.ModuleList([*self.layers, *neurons]))
        self.deviation = self.dynamics.deviation
        self.neurons = neurons
        self.workload = workload
        self.scale = scale

    @abstractmethod
    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Run neurons over all timesteps, starting at rest.

        Returns ``"spikes"``, ``"membrane"`` or both, as ``keep`` requests, in the layout of
        ``current``. The membrane is the value that the library returns.
        """

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane."""
        return self._run(spikes, "membrane")["membrane"].mean(self.time_axis)

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return spikes and compared membranes of every layer."""
        seen = []
        with torch.no_grad():
            for layer, neurons in zip(self.layers, self.neurons, strict=True):
                found = self.run_neurons(neurons, self._weigh(layer, spikes), "both")
                spikes = found["spikes"]
                both = (self.time_first(found[name]) for name in ("spikes", "membrane"))
                fired, membrane = (signal.flatten(2) for signal in both)
                seen.append((fired, self.dynamics.decided(fired, membrane)))
        return seen

    def gradients(
        self, spikes: Tensor, labels: Tensor, weights: Tensor
    ) -> tuple[float, list[Tensor]]:
        """Return a loss and its gradients with respect to the unscaled weights."""
        loss, gradients = super().gradients(spikes, labels, weights)
        return loss, [self.scale * gradient for gradient in gradients]

    def _run(self, spikes: Tensor, keep: Keep) -> dict[str, Tensor]:
        *hidden, last = zip(self.layers, self.neurons, strict=True)
        for layer, neurons in hidden:
            spikes = self.run_neurons(neurons, self._weigh(layer, spikes), "spikes")["spikes"]
        return self.run_neurons(last[1], self._weigh(last[0], spikes), keep)

    def _weigh(self, layer: nn.Module, signal: Tensor) -> Tensor:
        # The direct code is the same at every timestep: one product is enough.
        once = signal.shape[self.time_axis] > 1 and signal.stride(self.time_axis) == 0
        steps = signal.narrow(self.time_axis, 0, 1) if once else signal
        current: Tensor = layer(steps.flatten(0, 1)).unflatten(0, steps.shape[:2])
        return current.expand(*signal.shape[:2], *current.shape[2:])

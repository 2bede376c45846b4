"""Networks run layer by layer: one matrix product for all timesteps, then the neurons over time.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from benchmarks.candidates import TorchCandidate, copy_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from benchmarks.peers.dynamics import Dynamics
    from benchmarks.workload import Workload

Keep = Literal["spikes", "membrane", "both"]


class Layerwise(TorchCandidate):
    """A network whose neurons are run over all timesteps of a layer at once.

    Parameters
    ----------
    layers
        First weights, which are copied.
    neurons
        One module for each layer.
    workload
        Says how pixels are encoded; none for a layer that is given its input.
    scale
        On the weights, where the neurons scale their input by its inverse.
    """

    dynamics: Dynamics
    time_axis = 0

    def __init__(
        self,
        layers: Sequence[nn.Linear],
        neurons: Sequence[nn.Module],
        workload: Workload | None,
        scale: float = 1.0,
    ) -> None:
        linears = [copy_of(layer, scale) for layer in layers]
        module = nn.ModuleList([*linears, *neurons])
        super().__init__(module, linears)
        self.deviation = self.dynamics.deviation
        self.neurons = neurons
        self.workload = workload
        self.scale = scale

    @abstractmethod
    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Run neurons at rest over all timesteps.

        Returns what is to be kept of ``"spikes"`` and ``"membrane"``, the latter as the library
        hands it out; both in the layout of ``current``.
        """

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane."""
        return self._run(spikes, "membrane")["membrane"].mean(self.time_axis)

    def fired(self, spikes: Tensor) -> Tensor:
        """Return the output spikes."""
        return self._run(spikes, "spikes")["spikes"]

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return every layer's spikes and the membranes that decided them."""
        seen = []
        with torch.no_grad():
            for linear, neurons in zip(self.layers, self.neurons, strict=True):
                found = self.run_neurons(neurons, self._weigh(linear, spikes), "both")
                spikes = found["spikes"]
                fired, membrane = self.time_first(spikes), self.time_first(found["membrane"])
                seen.append((fired, self.dynamics.decided(fired, membrane)))
        return seen

    def gradients(
        self, spikes: Tensor, labels: Tensor | None, weights: Tensor
    ) -> tuple[float, list[Tensor]]:
        """Return a loss and its gradients with respect to the unscaled weights."""
        loss, gradients = super().gradients(spikes, labels, weights)
        return loss, [self.scale * gradient for gradient in gradients]

    def _run(self, spikes: Tensor, keep: Keep) -> dict[str, Tensor]:
        *hidden, last = zip(self.layers, self.neurons, strict=True)
        for linear, neurons in hidden:
            spikes = self.run_neurons(neurons, self._weigh(linear, spikes), "spikes")["spikes"]
        return self.run_neurons(last[1], self._weigh(last[0], spikes), keep)

    def _weigh(self, linear: nn.Linear, signal: Tensor) -> Tensor:
        if signal.shape[self.time_axis] > 1 and signal.stride(self.time_axis) == 0:
            # The direct code is the same at every timestep: whoever cares for speed weighs it once.
            first: Tensor = linear(signal.narrow(self.time_axis, 0, 1))
            return first.expand(*signal.shape[:2], -1)
        weighed: Tensor = linear(signal)
        return weighed

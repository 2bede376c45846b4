"""Neurons with given dynamics as a plain, slow loop over time.

A library whose dynamics differ from `snntorch.Leaky` is compared with `ExplicitLoop`, so that
speeds are only shown for networks that match their description in the notes.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.peers.dynamics import THRESHOLD, Dynamics
from benchmarks.peers.layerwise import Keep, Layerwise
from benchmarks.workload import BETA


class ExplicitLoop(Layerwise):
    """The oracle of a library whose dynamics differ from snnTorch.

    Parameters
    ----------
    layers : sequence of torch.nn.Module
        Layers with the initial weights, which are copied.
    dynamics : Dynamics
        Dynamics of the neurons.
    """

    name = "explicit loop"

    def __init__(self, layers: Sequence[nn.Module], dynamics: Dynamics) -> None:
        self.dynamics = dynamics
        super().__init__(layers, [nn.Identity() for _ in layers], None)

    def encode(self, pixels: Tensor) -> Tensor:
        """Raise NotImplementedError: an oracle is given its spikes."""
        raise NotImplementedError("an oracle is given its spikes")

    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Run the neurons from rest with the given dynamics."""
        seen = [list(step) for step in zip(*self._steps(current), strict=True)]
        kept = {"spikes": torch.stack(seen[0]), "membrane": torch.stack(seen[1])}
        return {name: signal for name, signal in kept.items() if keep in (name, "both")}

    def _steps(self, current: Tensor) -> Any:
        dynamics = self.dynamics
        membrane = spike = torch.zeros_like(current[0])
        for inflow in current:
            if dynamics.at_once:
                before = BETA * membrane + inflow
                spike = self._fire(before)
                membrane = before - self._reset(spike)
            else:
                membrane = BETA * membrane + inflow - self._reset(spike)
                spike = self._fire(membrane)
            yield spike, membrane

    def _fire(self, membrane: Tensor) -> Tensor:
        spike: Tensor = _Fire.apply(membrane - THRESHOLD, self.dynamics.derivative)  # type: ignore[no-untyped-call]
        return spike

    def _reset(self, spike: Tensor) -> Tensor:
        return THRESHOLD * (spike.detach() if self.dynamics.detached else spike)


class _Fire(torch.autograd.Function):
    """Heaviside step forward, surrogate derivative backward."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, derivative: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.derivative = derivative
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return gradient * ctx.derivative(distance), None

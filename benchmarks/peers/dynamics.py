"""In what libraries of leaky neurons differ, written out once, slow and plain.

Who does not compute what `snntorch.Leaky` computes is compared with `ExplicitLoop` instead, so that
nobody's speed is shown whose network is not the one that the notes describe.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmarks.peers.layerwise import Keep, Layerwise
from spikemnist.benchmark import BETA

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

THRESHOLD = 1.0


def atan(distance: Tensor) -> Tensor:
    """Return snnTorch's default surrogate derivative at ``membrane - threshold``."""
    return 1 / (1 + (math.pi * distance) ** 2)


@dataclass(frozen=True)
class Dynamics:
    """How a neuron is updated; by default as `snntorch.Leaky` does it.

    Attributes
    ----------
    at_once
        The reset acts in the timestep of its spike, before the next decay, and the membrane that
        is handed out is the one after it. snnTorch takes off the threshold one step later.
    detached
        No gradient flows through the reset.
    late
        A spike leaves one timestep after the membrane crossed the threshold.
    derivative
        Surrogate, of the distance from the threshold.
    surrogate
        What the notes call it, when it is another one.
    """

    at_once: bool = False
    detached: bool = True
    late: bool = False
    derivative: Callable[[Tensor], Tensor] = atan
    surrogate: str = ""

    @property
    def differs(self) -> str:
        """The differences from `snntorch.Leaky` in words."""
        notes = {
            "the reset acts at once, before the decay, and the membrane after it is read out": (
                self.at_once
            ),
            "a spike leaves one timestep later": self.late,
            "the gradient flows through the reset as well": not self.detached,
            f"the surrogate is {self.surrogate}": bool(self.surrogate),
        }
        return "; ".join(note for note, holds in notes.items() if holds)

    def decided(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """Return the membranes that were compared with the threshold, ``[T, ...]`` each."""
        if self.late:
            return torch.cat([torch.zeros_like(membrane[:1]), membrane[:-1]])
        return membrane + THRESHOLD * spikes if self.at_once else membrane


class ExplicitLoop(Layerwise):
    """The oracle of a library whose dynamics differ.

    Parameters
    ----------
    layers
        First weights, which are copied.
    dynamics
        What to compute.
    """

    name = "explicit loop"

    def __init__(self, layers: Sequence[nn.Linear], dynamics: Dynamics) -> None:
        self.dynamics = dynamics
        super().__init__(layers, [nn.Identity() for _ in layers], None)

    def encode(self, pixels: Tensor) -> Tensor:
        """Refuse: an oracle is given its spikes."""
        raise NotImplementedError("an oracle is given its spikes")

    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Update the membranes as the dynamics say."""
        seen = [list(step) for step in zip(*self._steps(current), strict=True)]
        kept = {"spikes": torch.stack(seen[0]), "membrane": torch.stack(seen[1])}
        return {name: signal for name, signal in kept.items() if keep in (name, "both")}

    def _steps(self, current: Tensor) -> Any:
        dynamics = self.dynamics
        membrane = spike = torch.zeros_like(current[0])
        for inflow in current:
            if dynamics.late:
                spike = self._fire(membrane)
                membrane = BETA * membrane + inflow - self._reset(spike)
            elif dynamics.at_once:
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

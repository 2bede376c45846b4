"""In what libraries of leaky neurons differ.

Shapes: ``T`` timesteps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

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
    def deviation(self) -> str:
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

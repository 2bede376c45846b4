"""Differences between libraries of leaky neurons.

Shapes: ``T`` timesteps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = 1.0


def atan(distance: Tensor) -> Tensor:
    """Return snnTorch's default surrogate derivative at ``membrane - threshold``."""
    return 1 / (1 + (math.pi * distance) ** 2)


@dataclass(frozen=True)
class Dynamics:
    """The update of a neuron; the default is the update of `snntorch.Leaky`.

    Attributes
    ----------
    at_once
        Whether the reset acts in the timestep of its spike, before the next decay. The returned
        membrane is then the value after the reset. snnTorch subtracts the threshold one step later.
    detached
        Whether no gradient flows through the reset.
    derivative
        Surrogate derivative as a function of the distance from the threshold.
    surrogate
        Description of the surrogate in the notes, if it is not snnTorch's default.
    """

    at_once: bool = False
    detached: bool = True
    derivative: Callable[[Tensor], Tensor] = atan
    surrogate: str = ""

    @property
    def deviation(self) -> str:
        """Description of the differences from `snntorch.Leaky`."""
        notes = {
            "the reset acts at once, before the decay, and the membrane after it is read out": (
                self.at_once
            ),
            "the gradient flows through the reset as well": not self.detached,
            f"the surrogate is {self.surrogate}": bool(self.surrogate),
        }
        return "; ".join(note for note, holds in notes.items() if holds)

    def decided(self, spikes: Tensor, membrane: Tensor) -> Tensor:
        """Return the membranes that were compared with the threshold, ``[T, ...]`` each."""
        return membrane + THRESHOLD * spikes if self.at_once else membrane

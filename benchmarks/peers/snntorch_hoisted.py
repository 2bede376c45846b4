"""snnTorch with the matrix products moved out of the loop over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.candidates import plain_leaky, snntorch_spikes
from benchmarks.peers.dynamics import Dynamics
from benchmarks.peers.layerwise import Keep, Layerwise

if TYPE_CHECKING:
    from benchmarks.workload import Workload


class SnnTorchHoisted(Layerwise):
    """One matrix product for each layer, then `snntorch.Leaky` in a loop over time."""

    name = "snnTorch, hoisted"
    dynamics = Dynamics()

    def __init__(self, layers: Sequence[nn.Module], workload: Workload | None = None) -> None:
        super().__init__(layers, [plain_leaky() for _ in layers], workload)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode the pixels with `snntorch.spikegen`."""
        assert self.workload is not None  # pixels belong to a workload
        return snntorch_spikes(pixels, self.workload.code, self.workload.num_steps)

    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Run the neurons in a loop over time."""
        membrane = torch.zeros(0)
        kept: dict[str, list[Tensor]] = {"spikes": [], "membrane": []}
        for inflow in current:
            spike, membrane = neurons(inflow, membrane)
            kept["spikes"].append(spike)
            kept["membrane"].append(membrane)
        return {name: torch.stack(steps) for name, steps in kept.items() if keep in (name, "both")}

"""Norse: one matrix product for each layer, then LIFBoxCell in a loop over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from norse.torch import LIFBoxCell, LIFBoxFeedForwardState, LIFBoxParameters
from norse.torch.functional.encode import poisson_encode
from norse.torch.functional.reset import reset_subtract
from torch import Tensor, nn

from benchmarks.peers.dynamics import Dynamics
from benchmarks.peers.layerwise import Keep, Layerwise
from benchmarks.workload import BETA, Workload

TIMESTEP = 0.001


def superspike(distance: Tensor) -> Tensor:
    """Return Norse's default surrogate derivative."""
    return 1 / (1 + distance.abs()) ** 2


class Norse(Layerwise):
    """`norse.torch.LIFBoxCell`, with larger weights that compensate its scaling of the input."""

    name = "Norse"
    dynamics = Dynamics(
        at_once=True,
        detached=False,
        derivative=superspike,
        surrogate="Norse's own, 1 / (1 + |x|)^2, for it has no atan",
    )

    def __init__(self, layers: Sequence[nn.Module], workload: Workload | None = None) -> None:
        parameters = LIFBoxParameters(
            tau_mem_inv=torch.as_tensor((1 - BETA) / TIMESTEP),
            method="super",
            reset_method=reset_subtract,
        )
        neurons = [LIFBoxCell(parameters, dt=TIMESTEP) for _ in layers]
        super().__init__(layers, neurons, workload, scale=1 / (1 - BETA))
        if workload and workload.code == "latency":
            self.deviation += "; it has no such latency code and is given spikemnist's, in float32"

    def encode(self, pixels: Tensor) -> Tensor:
        """Return Norse's Poisson code, or this package's encoder for other codes."""
        assert self.workload is not None  # pixels belong to a workload
        if self.workload.code == "rate":
            spikes: Tensor = poisson_encode(
                pixels, self.workload.num_steps, f_max=1 / TIMESTEP, dt=TIMESTEP
            )
            return spikes
        return self.workload.encoder()(pixels)

    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Run the cell in a loop over time."""
        state = LIFBoxFeedForwardState(v=torch.zeros_like(current[0]))
        kept: dict[str, list[Tensor]] = {"spikes": [], "membrane": []}
        for inflow in current:
            spike, state = neurons(inflow, state)
            kept["spikes"].append(spike)
            kept["membrane"].append(state.v)
        return {name: torch.stack(steps) for name, steps in kept.items() if keep in (name, "both")}

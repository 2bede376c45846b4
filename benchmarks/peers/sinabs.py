"""Sinabs: layers that take whole sequences, batch first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from sinabs.activation import SingleSpike
from sinabs.layers import LIF
from torch import Tensor, nn

from benchmarks.peers.dynamics import Dynamics, atan
from benchmarks.peers.layerwise import Keep, Layerwise
from benchmarks.workload import BETA, Workload


def surrogate(membrane: Tensor, threshold: Tensor) -> Tensor:
    """Return snnTorch's surrogate derivative with the arguments that Sinabs passes."""
    return atan(membrane - threshold)


class Sinabs(Layerwise):
    """`sinabs.layers.LIF` with at most one spike in each timestep."""

    name = "Sinabs"
    dynamics = Dynamics(at_once=True, detached=False)
    time_axis = 1

    def __init__(self, layers: Sequence[nn.Module], workload: Workload | None = None) -> None:
        neurons = [
            LIF(
                tau_mem=-1 / math.log(BETA),
                spike_fn=SingleSpike,
                surrogate_grad_fn=surrogate,
                norm_input=False,
            ).requires_grad_(False)
            for _ in layers
        ]
        super().__init__(layers, neurons, workload)
        if workload and workload.code == "latency":
            self.deviation += "; it has no latency code and is given spikemnist's, in float32"

    def prepare_input(self, spikes: Tensor) -> Tensor:
        """Return the spikes as float32, ``[B, T, F]``."""
        laid_out = spikes.float().transpose(0, 1)
        return laid_out if spikes.stride(0) == 0 else laid_out.contiguous()

    def time_first(self, signal: Tensor) -> Tensor:
        """Transpose a signal ``[B, T, ...]`` to ``[T, B, ...]``."""
        return signal.transpose(0, 1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Draw spikes as `sinabs.layers.Img2SpikeLayer` does, but directly with batch first."""
        assert self.workload is not None  # pixels belong to a workload
        steps, (batch, features) = self.workload.num_steps, pixels.shape
        if self.workload.code == "rate":
            return (torch.rand(batch, steps, features) < pixels.unsqueeze(1)).float()
        if self.workload.code == "latency":
            return self.prepare_input(self.workload.encoder()(pixels))
        return pixels.unsqueeze(1).expand(-1, steps, -1)

    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Run the layer from rest."""
        neurons.reset_states()
        neurons.record_states = keep != "spikes"
        spikes = neurons(current)
        return {"spikes": spikes, "membrane": neurons.recordings.get("v_mem")}

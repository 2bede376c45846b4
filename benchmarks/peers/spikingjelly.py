"""SpikingJelly in multi-step mode, which runs a layer over all timesteps in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spikingjelly.activation_based import encoding, functional, neuron, surrogate

from benchmarks.peers.dynamics import Dynamics
from benchmarks.peers.layerwise import Keep, Layerwise
from benchmarks.workload import BETA, Workload

if TYPE_CHECKING:
    from torch import Tensor, nn


class SpikingJelly(Layerwise):
    """`spikingjelly.activation_based.neuron.LIFNode`, without decay of the input."""

    name = "SpikingJelly"
    dynamics = Dynamics(at_once=True)

    def __init__(self, layers: Sequence[nn.Module], workload: Workload | None = None) -> None:
        neurons = [
            neuron.LIFNode(
                tau=1 / (1 - BETA),
                decay_input=False,
                v_reset=None,  # subtract the threshold
                surrogate_function=surrogate.ATan(alpha=2.0),
                detach_reset=True,
                step_mode="m",
            )
            for _ in layers
        ]
        super().__init__(layers, neurons, workload)
        if workload and workload.code == "latency":
            self.deviation += "; its encoder lets pixels of 0 fire at the last timestep"

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode the pixels with `spikingjelly.activation_based.encoding`."""
        assert self.workload is not None  # pixels belong to a workload
        steps = self.workload.num_steps
        if self.workload.code == "latency":
            spikes: Tensor = encoding.LatencyEncoder(steps).single_step_encode(pixels)
        elif self.workload.code == "rate":
            spikes = encoding.PoissonEncoder("m")(pixels.expand(steps, -1, -1))
        else:
            spikes = pixels.expand(steps, -1, -1)
        return spikes

    def run_neurons(self, neurons: Any, current: Tensor, keep: Keep) -> dict[str, Tensor]:
        """Run the node from rest."""
        functional.reset_net(neurons)
        neurons.store_v_seq = keep != "spikes"
        return {"spikes": neurons(current), "membrane": neurons.v_seq}

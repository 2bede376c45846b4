r"""The weight gradient of a layer, one block of neurons at a time, spike by spike.

The adjoint of a sample is added while its ``[T, WIDTH]`` numbers are in the first-level cache,
input neuron by input neuron. The row of one input neuron is loaded and stored once for all
timesteps at which it fired, or once for a *group* of samples if neurons fire rarely. If they fire
often, the sums of all combinations of a few timesteps (a *burst*) are tabulated first, and a neuron
adds one row for each of its patterns (V. Arlazarov, E. Dinic, M. Kronrod, I. Faradzhev, *On
economical construction of the transitive closure of an oriented graph*, 1970).

Shapes: ``T`` timesteps, ``F`` input features.
"""

from __future__ import annotations

from spikemnist._tensors import Array
from spikemnist.kernels.compiler import inlined, routine
from spikemnist.kernels.elementwise import add
from spikemnist.kernels.registers import at
from spikemnist.kernels.spike_lists import ByNeuron
from spikemnist.kernels.vector import add_rows


@routine
def tabulate(delta: Array, steps: int, burst: int) -> None:
    """Fill the rows of patterns with several spikes: each is the sum of two rows with fewer."""
    for first in range(0, steps, burst):
        base = first // burst << burst
        for pattern in range(3, 1 << min(burst, steps - first)):
            lowest = pattern & -pattern
            if lowest != pattern:
                fewer, one = at(delta, base + pattern - lowest), at(delta, base + lowest)
                add(at(delta, base + pattern), fewer, one)


@inlined
def add_by_neuron(events: ByNeuron, g: int, delta: Array, gradient: Array) -> None:
    """Add the rows of group g to ``gradient`` ``[F, WIDTH]``, input neuron by input neuron."""
    for p in range(events.groups[g], events.groups[g + 1]):
        start, stop = events.starts[p + g], events.starts[p + g + 1]
        add_rows(at(gradient, events.neurons[p]), delta, events.patterns, start, stop)

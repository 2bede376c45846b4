"""Tables of `spikemnist evaluate --energy`: numbers and their assumptions."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from spikemnist._tables import Table
from spikemnist.energy.results import MEMORIES

if TYPE_CHECKING:
    from spikemnist.energy import Energy

MARGINS = (0.1, 0.2, 0.5, 0.9, 0.99)
"""Margins to show. Smoothed labels keep the probabilities close, so small margins matter too."""
NANOJOULE = 1000.0
BYTES = {"8KB": 8 << 10, "32KB": 32 << 10, "1MB": 1 << 20}
"""Size of each memory of limited size."""


def table(energy: Energy) -> str:
    """Return the tables, one below the other."""
    parts = (_operations, _energies, _over_time, _exits, _assumptions)
    return "\n\n".join(part(energy) for part in parts)


def summary(energy: Energy) -> dict[str, object]:
    """Return the results per sample for ``--json``; energies in pJ."""
    estimates = {
        name: {**vars(estimate), "total": estimate.total}
        for name in ("snn", "ann_dense", "ann_skipping")
        for estimate in (getattr(energy, name),)
    }
    return {
        "layers": energy.layers,
        "total": energy.total,
        "parameters": energy.parameters,
        "footprint": energy.footprint,
        "technology": energy.technology.name,
        "memory": energy.memory,
        "picojoules": estimates,
    }


def _operations(energy: Energy) -> str:
    size = f"{energy.parameters:,} parameters; {energy.footprint:,} bytes with buffers"
    return energy.table()._replace(note=size).text(bare=True)


def _energies(energy: Energy) -> str:
    head = ("nJ per sample", "synapses", "neurons", "memory", "total", "of dense")
    networks = {
        f"spiking, {energy.num_steps} timesteps": energy.snn,
        "ANN, dense": energy.ann_dense,
        "ANN, zeros skipped": energy.ann_skipping,
    }
    rows = []
    for name, cost in networks.items():
        parts = (cost.synapses, cost.neurons, cost.memory, cost.total)
        cells = (f"{part / NANOJOULE:,.1f}" for part in parts)
        rows.append((name, *cells, f"{cost.total / energy.ann_dense.total:.1%}"))
    return Table("", head, rows).text(bare=True)


def _over_time(energy: Energy) -> str:
    head = ("timesteps", "accuracy", "nJ spiking", "spikes", "operations")
    columns = (
        energy.accuracy_per_step,
        energy.energy_per_step / NANOJOULE,
        energy.spikes_per_step,
        energy.operations_per_step,
    )
    rows = [
        (
            f"{step} of {energy.num_steps}",
            f"{accuracy:.2%}",
            f"{spent:,.1f}",
            f"{spikes:,.1f}",
            f"{operations:,.0f}",
        )
        for step, (accuracy, spent, spikes, operations) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), 1
        )
    ]
    return Table("", head, rows).text(bare=True)


def _exits(energy: Energy) -> str:
    head = ("exit margin", "accuracy", "nJ spiking", "timesteps", "operations")
    rows = []
    for margin in MARGINS:
        end = energy.early_exit(margin)
        spent, operations = f"{end.energy / NANOJOULE:,.1f}", f"{end.operations:,.0f}"
        rows.append((f"{margin:g}", f"{end.accuracy:.2%}", spent, f"{end.steps:.2f}", operations))
    return Table("", head, rows).text(bare=True)


def _assumptions(energy: Energy) -> str:
    technology = energy.technology
    memory = "memory accesses are not counted"
    if energy.memory is not None:
        memory = (
            f"{MEMORIES[energy.memory]:g} pJ per byte of {energy.memory}: each operation reads a "
            "weight, each neuron reads and writes its membrane at each timestep, nothing is cached"
        )
        if energy.footprint > BYTES.get(energy.memory, energy.footprint):
            memory += (
                f"; the {energy.footprint:,} bytes of this network do not fit into "
                f"{energy.memory}, and a larger memory costs more"
            )
    assumptions = (
        f"Assumptions: {technology.mac:g} pJ per MAC and {technology.ac:g} pJ per AC "
        f"({technology.source}); one MAC for the decay of each membrane at each timestep; "
        f"{memory}; each ANN has the same layers and runs once; in the one that skips zeros, "
        f"{energy.ann_density:.0%} of the hidden activations are not zero, which was not measured. "
        "Encoding, control and idle circuits are left out."
    )
    words = (
        "silent: share of neurons and timesteps without a spike. zero: share of weights that are "
        "zero. exit margin: the network stops when the probabilities of the two leading classes "
        "differ by it."
    )
    return "\n".join(textwrap.fill(text, 100) for text in (assumptions, words))

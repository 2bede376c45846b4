"""Tables of `spikemnist evaluate --energy`: figures and their assumptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist.energy import MEMORIES

if TYPE_CHECKING:
    from spikemnist.energy import Energy, Estimate

MARGINS = (0.1, 0.2, 0.5, 0.9, 0.99)
"""Margins to show. Smoothed labels keep the probabilities close, so small margins matter too."""
NANOJOULE = 1000.0
BYTES = {"8KB": 8 << 10, "32KB": 32 << 10, "1MB": 1 << 20}
"""Size of each memory of limited size."""


def table(energy: Energy, noun: str) -> str:
    """Return the tables, one below the other; ``noun`` is the word for a sample."""
    parts = (_operations, _energies, _over_time, _exits, _assumptions)
    return "\n\n".join(part(energy, noun) for part in parts)


def summary(energy: Energy) -> dict[str, object]:
    """Return the figures per sample for ``--json``; energies in pJ."""
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


def _operations(energy: Energy, noun: str) -> str:
    size = f"{energy.parameters:,} parameters; {energy.footprint:,} bytes with buffers"
    head = (f"per {noun}", *energy.table().head[1:])
    return energy.table()._replace(head=head, note=size).text(untitled=True)


def _energies(energy: Energy, noun: str) -> str:
    dense = energy.ann_dense.total
    networks = {
        f"spiking, {energy.num_steps} timesteps": energy.snn,
        "ANN, dense": energy.ann_dense,
        "ANN, zeros skipped": energy.ann_skipping,
    }
    head = f"{'nJ per ' + noun:<24}{'synapses':>12}{'neurons':>12}{'memory':>12}{'total':>12}"
    return "\n".join([f"{head}{'of dense':>10}", *(_row(n, e, dense) for n, e in networks.items())])


def _row(name: str, estimate: Estimate, dense: float) -> str:
    parts = (estimate.synapses, estimate.neurons, estimate.memory, estimate.total)
    cells = "".join(f"{part / NANOJOULE:>12,.1f}" for part in parts)
    return f"{name:<24}{cells}{estimate.total / dense:>10.1%}"


def _over_time(energy: Energy, noun: str) -> str:
    columns = (
        energy.accuracy_per_step,
        energy.energy_per_step / NANOJOULE,
        energy.spikes_per_step,
        energy.operations_per_step,
    )
    rows = [
        f"{step:<12}{accuracy:>10.2%}{spent:>14,.1f}{spikes:>12,.1f}{operations:>16,.0f}"
        for step, (accuracy, spent, spikes, operations) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), 1
        )
    ]
    head = f"{'timesteps':<12}{'accuracy':>10}{'nJ spiking':>14}{'spikes':>12}{'operations':>16}"
    return "\n".join([head, *rows])


def _exits(energy: Energy, noun: str) -> str:
    rows = []
    for margin in MARGINS:
        outcome = energy.early_exit(margin)
        rows.append(
            f"{margin:<12g}{outcome.accuracy:>10.2%}{outcome.energy / NANOJOULE:>14,.1f}"
            f"{outcome.steps:>12.2f}{outcome.operations:>16,.0f}"
        )
    head = f"{'exit margin':<12}{'accuracy':>10}{'nJ spiking':>14}{'timesteps':>12}"
    return "\n".join([f"{head}{'operations':>16}", *rows])


def _assumptions(energy: Energy, noun: str) -> str:
    technology = energy.technology
    memory = "memory accesses are free"
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
    return (
        f"Assumptions: {technology.mac:g} pJ per MAC and {technology.ac:g} pJ per AC "
        f"({technology.source});\none MAC for the decay of each membrane at each timestep; "
        f"{memory};\n"
        "each ANN has the same layers and runs once; in the one that skips zeros, "
        f"{energy.ann_density:.0%} of the hidden\nactivations are not zero, which was not "
        "measured. Encoding, control and idle circuits are left out.\nsilent: share of neurons "
        "and timesteps without a spike. zero: share of weights that are zero.\nexit margin: the "
        "network stops when the probabilities of the two leading classes differ by it."
    )

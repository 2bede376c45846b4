"""Tables of `spikemnist evaluate --energy`: numbers and their assumptions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
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
    size = f"{energy.parameters:,} parameters; {energy.footprint:,} bytes with buffers"
    operations = energy.table()._replace(note=size).text(bare=True)
    tables = (_energies(energy), _over_time(energy), _exits(energy))
    return "\n\n".join([operations, *tables, _assumptions(energy)])


def summary(energy: Energy) -> dict[str, object]:
    """Return the results per sample for ``--json``; energies in pJ."""
    names = ("layers", "total", "parameters", "footprint", "technology", "memory")
    estimates = {name: getattr(energy, name) for name in ("snn", "ann_dense", "ann_skipping")}
    return {
        **{name: getattr(energy, name) for name in names},
        "technology": energy.technology.name,
        "picojoules": {name: {**vars(e), "total": e.total} for name, e in estimates.items()},
    }


def _energies(energy: Energy) -> str:
    networks = {
        f"spiking, {energy.num_steps} timesteps": energy.snn,
        "ANN, dense": energy.ann_dense,
        "ANN, zeros skipped": energy.ann_skipping,
    }
    costs, parts = networks.values(), ("synapses", "neurons", "memory", "total")
    return _table(
        ("nJ per sample", "{}", networks),
        *((part, "{:,.1f}", [getattr(c, part) / NANOJOULE for c in costs]) for part in parts),
        ("of dense", "{:.1%}", [cost.total / energy.ann_dense.total for cost in costs]),
    )


def _over_time(energy: Energy) -> str:
    return _table(
        ("timesteps", f"{{}} of {energy.num_steps}", range(1, energy.num_steps + 1)),
        ("accuracy", "{:.2%}", energy.accuracy_per_step.tolist()),
        ("nJ spiking", "{:,.1f}", (energy.energy_per_step / NANOJOULE).tolist()),
        ("spikes", "{:,.1f}", energy.spikes_per_step.tolist()),
        ("operations", "{:,.0f}", energy.operations_per_step.tolist()),
    )


def _exits(energy: Energy) -> str:
    ends = [energy.early_exit(margin) for margin in MARGINS]
    return _table(
        ("exit margin", "{:g}", MARGINS),
        ("accuracy", "{:.2%}", [end.accuracy for end in ends]),
        ("nJ spiking", "{:,.1f}", [end.energy / NANOJOULE for end in ends]),
        ("timesteps", "{:.2f}", [end.steps for end in ends]),
        ("operations", "{:,.0f}", [end.operations for end in ends]),
    )


def _table(*columns: tuple[str, str, Iterable[object]]) -> str:
    """Return a table of columns, each with a title, a format and its values."""
    head = [title for title, _, _ in columns]
    cells = [[form.format(value) for value in values] for _, form, values in columns]
    return Table("", head, [*zip(*cells, strict=True)]).text(bare=True)


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

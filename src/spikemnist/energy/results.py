"""The results of a measurement, and energy estimates from them.

Shapes: ``T`` timesteps, ``N`` samples.
"""

from __future__ import annotations

import math
import textwrap
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from spikemnist._arguments import check_choice
from spikemnist._tables import Result, Table
from spikemnist.energy.costs import BYTES, MEMORIES, NANOJOULE, Technology
from spikemnist.models.layer_table import LayerSummary, layer_table

MARGINS = (0.1, 0.2, 0.5, 0.9, 0.99)
"""Margins to show. Smoothed labels keep the probabilities close, so small margins matter too."""

OPERATIONS = (
    "shape", "dense", "macs", "acs", "updates", "spikes", "activation_sparsity",
    "connection_sparsity",
)  # fmt: skip
"""Fields of a layer that the table shows."""

SUMMED = (
    "neurons", "parameters", "opportunities", "decays", "macs", "acs", "dense", "updates", "spikes",
    "ann_macs", "energy", "weights", "zero_weights",
)  # fmt: skip
"""Fields of a layer that a network has as well, as their sum."""

WORDS = (
    "dense: all operations. MACs, ACs: those of an input and a weight that are not zero; a MAC "
    "multiplies and adds, an AC only adds. updates: changes of a membrane. sparsity: share of "
    "neurons and timesteps without a spike. exit margin: the network stops when the probabilities "
    "of the two leading classes differ by it."
)
"""What stands in the tables."""

Part = Literal["layers", "energies", "timesteps", "exits"]


@dataclass(frozen=True)
class Estimate:
    """Estimated energy of one sample, in picojoules.

    Attributes
    ----------
    synapses
        Energy of effective MACs and ACs.
    neurons
        Energy of membrane decay, one MAC for each neuron and timestep; none where beta is 1.
    memory
        Energy to read a weight for each operation, and to read and write a membrane for each neuron
        and timestep; 0 without a memory.

    Examples
    --------
    >>> Estimate(synapses=300.0, neurons=50.0, memory=0.0).total
    350.0
    """

    synapses: float
    neurons: float
    memory: float

    @property
    def total(self) -> float:
        """Sum of the three."""
        return self.synapses + self.neurons + self.memory


@dataclass(frozen=True)
class EarlyExit:
    """Results of a network that stops as soon as the decision is clear.

    Attributes
    ----------
    margin
        Smallest difference of the probabilities of the two leading classes at which to stop.
    accuracy
        Accuracy of the decisions at that timestep.
    steps
        Mean number of timesteps used.
    operations
        Mean effective operations, MACs and ACs.
    energy
        Mean picojoules for one sample, with neurons and memory.

    Examples
    --------
    >>> from spikemnist import Classifier, LatencyEncoder, LeakyMLP, load_digits, measure_energy
    >>> classifier = Classifier(LeakyMLP(hidden=20), LatencyEncoder(num_steps=4))
    >>> energy = measure_energy(classifier, load_digits()[1][:20])
    >>> energy.early_exit(margin=0.0).steps, energy.early_exit(margin=1.0).steps
    (1.0, 4.0)
    """

    margin: float
    accuracy: float
    steps: float
    operations: float
    energy: float


@dataclass(frozen=True, eq=False, repr=False)
class Energy(Result):
    """Operations and energy of a network on labelled data.

    Attributes
    ----------
    layers
        Operations of each layer.
    parameters, footprint, synapses
        Number of parameters, bytes of parameters and buffers as PyTorch holds them, whatever the
        technology, and number of connections whose weight is not zero; a convolution is unrolled.
    samples, num_steps
        Number of samples and of timesteps.
    technology
        Energy of single operations.
    memory
        Name of the memory that is counted, one of `MEMORIES`, or None.
    ann_density
        Assumed fraction of an ANN's hidden activations that are non-zero.
    correct, margins
        ``[T, N]``: whether the decision on a sample would be right after each timestep, and the
        difference of its two leading probabilities.
    macs, acs, spikes
        ``[T, N]``: operations and spikes of each timestep, all layers together.

    Examples
    --------
    >>> from spikemnist import Classifier, LatencyEncoder, LeakyMLP, load_digits, measure_energy
    >>> classifier = Classifier(LeakyMLP(hidden=20), LatencyEncoder(num_steps=4))
    >>> energy = measure_energy(classifier, load_digits()[1][:20])
    >>> energy.samples, energy.macs.shape
    (20, torch.Size([4, 20]))
    >>> round(energy.snn.neurons, 1), (20 + 10) * 4 * 4.6  # a MAC of 4.6 pJ for each decay
    (552.0, 552.0)
    """

    layers: tuple[LayerSummary, ...]
    parameters: int
    footprint: int
    synapses: int
    samples: int
    num_steps: int
    technology: Technology
    memory: str | None
    ann_density: float
    correct: Tensor
    margins: Tensor
    macs: Tensor
    acs: Tensor
    spikes: Tensor

    def table(self, part: Part = "layers") -> Table:
        """Return a table of one part; ``repr`` shows that of the layers.

        Parameters
        ----------
        part : str, default "layers"
            ``"layers"`` has the operations of each layer, ``"energies"`` the energy of the network
            beside that of an ANN of the same layers, ``"timesteps"`` accuracy and energy of a
            decision after each timestep, also as a share of the dense ANN's, ``"exits"`` those of
            a decision at a margin.

        Returns
        -------
        Table

        Raises
        ------
        ValueError
            If there is no such part.
        """
        tables: dict[str, Callable[[], Table]] = {
            "layers": self._layer_table,
            "energies": self._energy_table,
            "timesteps": self._step_table,
            "exits": self._exit_table,
        }
        check_choice("part", part, tables)
        return tables[part]()

    @property
    def assumptions(self) -> str:
        """What the estimates assume, in sentences."""
        technology, memory = self.technology, "memory accesses are not counted"
        if self.memory is not None:
            memory = (
                f"{MEMORIES[self.memory]:g} pJ per byte of {self.memory}: each operation reads a "
                "weight, each neuron reads and writes its membrane at each timestep, nothing is "
                "cached"
            )
            size = technology.word * (self.parameters + self.total.neurons)
            if size > BYTES.get(self.memory, size):
                memory += (
                    f"; the {size:,} bytes of the parameters and membranes of this network do not "
                    f"fit into {self.memory}, and a larger memory costs more"
                )
        return (
            f"Assumptions: {technology.mac:g} pJ per MAC and {technology.ac:g} pJ per AC "
            f"({technology.source}); one MAC for the decay of each membrane at each timestep, "
            f"none where beta is 1; {memory}; each ANN has the same layers and runs once; in the "
            f"one that skips zeros, {self.ann_density:.0%} of the hidden activations are not zero, "
            "which was not measured. Encoding, control and idle circuits are left out."
        )

    def report(self) -> str:
        """Return all tables and what they assume, as ``spikemnist evaluate --energy`` prints them.

        Returns
        -------
        str
            The tables below one another, without titles, and sentences on them.
        """
        note = f"{self.parameters:,} parameters; {self.footprint:,} bytes in PyTorch, with buffers"
        operations = self._layer_table()._replace(note=note)
        tables = (operations, self._energy_table(), self._step_table(), self._exit_table())
        words = "\n".join(textwrap.fill(text, 100) for text in (self.assumptions, WORDS))
        return "\n\n".join([*(table.text(bare=True) for table in tables), words])

    def to_json(self) -> dict[str, Any]:
        """Return layers and estimates, as ``spikemnist evaluate --energy --json`` prints them.

        Returns
        -------
        dict
            Fields by name; ``picojoules`` has those of each `Estimate`, and its total.
        """
        names = ("layers", "total", "parameters", "footprint", "technology", "memory")
        estimates = {name: getattr(self, name) for name in ("snn", "ann_dense", "ann_skipping")}
        return {
            **{name: getattr(self, name) for name in names},
            "technology": self.technology.name,
            "picojoules": {name: {**vars(e), "total": e.total} for name, e in estimates.items()},
        }

    def _layer_table(self) -> Table:
        snn, dense, skipping = (
            f"{estimate.total / NANOJOULE:,.1f} nJ"
            for estimate in (self.snn, self.ann_dense, self.ann_skipping)
        )
        note = f"{snn} per sample; an ANN of these layers: {dense}, where it skips zeros {skipping}"
        return layer_table(
            f"Energy of {self._samples}", (*self.layers, self.total), OPERATIONS, note
        )

    def _energy_table(self) -> Table:
        networks = {
            f"spiking, {self.num_steps} timesteps": self.snn,
            "ANN, dense": self.ann_dense,
            "ANN, zeros skipped": self.ann_skipping,
        }
        costs, parts = networks.values(), ("synapses", "neurons", "memory", "total")
        return _columns(
            f"Energy of {self._samples}",
            ("nJ per sample", "{}", networks),
            *((part, "{:,.1f}", [getattr(c, part) / NANOJOULE for c in costs]) for part in parts),
            ("of dense", "{:.1%}", [cost.total / self.ann_dense.total for cost in costs]),
        )

    def _step_table(self) -> Table:
        return _columns(
            f"Decisions after each timestep on {self._samples}",
            ("timesteps", f"{{}} of {self.num_steps}", range(1, self.num_steps + 1)),
            ("accuracy", "{:.2%}", self.accuracy_per_step.tolist()),
            ("nJ spiking", "{:,.1f}", (self.energy_per_step / NANOJOULE).tolist()),
            ("of dense", "{:.1%}", (self.energy_per_step / self.ann_dense.total).tolist()),
            ("spikes", "{:,.1f}", self.spikes_per_step.tolist()),
            ("operations", "{:,.0f}", self.operations_per_step.tolist()),
        )

    def _exit_table(self) -> Table:
        ends = [self.early_exit(margin) for margin in MARGINS]
        return _columns(
            f"Decisions at a margin on {self._samples}",
            ("exit margin", "{:g}", MARGINS),
            ("accuracy", "{:.2%}", [end.accuracy for end in ends]),
            ("nJ spiking", "{:,.1f}", [end.energy / NANOJOULE for end in ends]),
            ("timesteps", "{:.2f}", [end.steps for end in ends]),
            ("operations", "{:,.0f}", [end.operations for end in ends]),
        )

    @property
    def _samples(self) -> str:
        steps = f"{self.num_steps} timesteps"
        return f"{self.samples:,} samples and {steps}, accuracy {self.accuracy:.2%}"

    @property
    def total(self) -> LayerSummary:
        """Operations of all layers together."""
        sums = {name: sum(getattr(layer, name) for layer in self.layers) for name in SUMMED}
        return LayerSummary("total", shape=f"{sums['neurons']:,}", **sums)

    @property
    def accuracy(self) -> float:
        """Fraction of right decisions after the last timestep."""
        return float(self.correct[-1].double().mean())

    @property
    def accuracy_per_step(self) -> Tensor:
        """Accuracy after each timestep, ``[T]``."""
        return self.correct.double().mean(1)

    @property
    def spikes_per_step(self) -> Tensor:
        """Mean number of spikes of a sample up to each timestep, ``[T]``."""
        return self.spikes.mean(1).cumsum(0)

    @property
    def operations_per_step(self) -> Tensor:
        """Mean number of effective operations of a sample up to each timestep, ``[T]``."""
        return (self.macs + self.acs).mean(1).cumsum(0)

    @property
    def snn(self) -> Estimate:
        """Estimate for the spiking network."""
        return self._estimate(self.total.macs, self.total.acs, self.num_steps)

    @property
    def ann_dense(self) -> Estimate:
        """Estimate for an ANN of the same layers that computes everything once."""
        return self._estimate(self.total.dense / self.num_steps, 0, 0)

    @property
    def ann_skipping(self) -> Estimate:
        """Estimate for the same ANN if zero inputs cost nothing."""
        first, *others = self.layers
        hidden = sum(layer.dense for layer in others) / self.num_steps
        return self._estimate(first.ann_macs + self.ann_density * hidden, 0, 0)

    @property
    def energy_per_step(self) -> Tensor:
        """Mean picojoules of a sample up to each timestep, ``[T]``."""
        return self._energy_so_far().mean(1)

    def early_exit(self, margin: float) -> EarlyExit:
        """Stop each sample at the first timestep at which it reaches the margin.

        Parameters
        ----------
        margin : float
            Smallest difference of the two highest probabilities, in [0, 1]. The probabilities are
            the softmax of the scores. A sample that never reaches it takes all timesteps.

        Returns
        -------
        EarlyExit
        """
        clear = self.margins >= margin
        clear[-1] = True
        last = clear.int().argmax(0)[None]
        operations = (self.macs + self.acs).cumsum(0)
        return EarlyExit(
            margin,
            accuracy=float(self.correct.gather(0, last).double().mean()),
            steps=float(last.double().mean()) + 1,
            operations=float(operations.gather(0, last).mean()),
            energy=float(self._energy_so_far().gather(0, last).mean()),
        )

    def at_budget(self, nanojoules: float) -> EarlyExit:
        """Stop at the largest margin whose mean energy is within a budget.

        Choose on one set and judge on another, as for any option:
        ``test.early_exit(validation.at_budget(40).margin)``. All margins that make a difference are
        candidates.

        Parameters
        ----------
        nanojoules : float
            Largest mean energy of a sample, in nJ.

        Returns
        -------
        EarlyExit
            Result on this set. Another set may need a little more or less energy.

        Raises
        ------
        ValueError
            If the first timestep alone costs more.

        Notes
        -----
        A larger margin never costs less, so the budget alone decides, and no label is needed. The
        most accurate margin within the budget would be fitted to the labels: a margin at which
        some hundred samples happen to have no error may leave errors in others.

        Examples
        --------
        >>> from spikemnist import Classifier, LeakyMLP, load_digits, measure_energy
        >>> train, validation = load_digits()[0][:200].split(0.5)
        >>> energy = measure_energy(Classifier(LeakyMLP(hidden=20), "latency"), validation)
        >>> unlimited = energy.at_budget(1e6)
        >>> unlimited.margin, unlimited.steps
        (1.0, 8.0)
        """
        budget, least = NANOJOULE * nanojoules, self.early_exit(0).energy
        if not budget >= least:
            raise ValueError(
                f"a budget of {nanojoules:g} nJ is less than the first timestep costs, "
                f"{math.ceil(least) / NANOJOULE:,.3f} nJ: give more, or reduce the operations of "
                "this timestep by fewer neurons or a code of fewer spikes"
            )
        margins = sorted({*self.margins[:-1].flatten().tolist(), 1.0})
        within = bisect_right(margins, budget, key=lambda margin: self.early_exit(margin).energy)
        return self.early_exit(margins[within - 1])

    def _estimate(self, macs: float, acs: float, steps: int) -> Estimate:
        technology, total = self.technology, self.total
        words = macs + acs + 2 * total.neurons * steps
        byte = 0.0 if self.memory is None else MEMORIES[self.memory]
        return Estimate(
            synapses=technology.mac * macs + technology.ac * acs,
            neurons=technology.mac * (total.decays // self.num_steps * steps),
            memory=byte * technology.word * words,
        )

    def _energy_so_far(self) -> Tensor:
        """Return the picojoules of each sample up to each timestep, ``[T, N]``."""
        operations, step = self._estimate(1, 0, 0), self._estimate(0, 1, 0)
        neurons = self._estimate(0, 0, 1).total
        spent: Tensor = operations.total * self.macs + step.total * self.acs + neurons
        return spent.cumsum(0)


def _columns(title: str, *columns: tuple[str, str, Iterable[object]]) -> Table:
    """Return a table of columns, each with its name, a format and its values."""
    cells = [[form.format(value) for value in values] for _, form, values in columns]
    return Table(title, [name for name, _, _ in columns], [*zip(*cells, strict=True)])

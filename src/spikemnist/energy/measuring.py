"""Count the operations of a network in one pass over labelled data.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` samples, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spikemnist._arguments import check_choice, check_number, named
from spikemnist._interrupt import check_interrupt, interruptible
from spikemnist.data.feed import Data, make_feed
from spikemnist.energy.costs import MEMORIES, TECHNOLOGIES, Technology
from spikemnist.energy.operations import Counts, Tally
from spikemnist.energy.results import Energy
from spikemnist.models.classifier import Classifier, check_network, responses
from spikemnist.models.devices import parameter_dtype, select_device
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.readout import margins
from spikemnist.models.record import Record, check_output


@named()
def measure_energy(
    classifier: Classifier,
    data: Data,
    *,
    technology: str | Technology = "45nm-fp32",
    memory: str | None = None,
    ann_density: float = 0.5,
    batch_size: int = 128,
    device: str | torch.device = "auto",
    seed: int = 0,
    progress: bool = True,
) -> Energy:
    r"""Count the operations of a network on labelled data, and estimate their energy.

    Operations are counted as in NeuroBench, from Records, in one pass. Let :math:`\hat x_t` and
    :math:`\hat W` be 1 for non-zero inputs and weights and 0 for others. A layer then has
    :math:`\sum_t \sum \hat W \hat x_t` effective operations. The estimate is

    .. math:: E = E_{MAC} (n_{MAC} + T N) + E_{AC} \, n_{AC}

    for :math:`n` effective operations and :math:`N` neurons, whose membranes decay at each of
    :math:`T` timesteps; layers with a beta of 1 throughout do not count. It is compared with two
    ANNs of the same layers that run once: one multiplies all inputs, the other skips zero inputs.
    **A spike count alone flatters**: a spiking network is cheaper only if few of its neurons fire
    in few timesteps.

    Parameters
    ----------
    classifier : Classifier
        Encoder and network: a `spikemnist.models.LeakyMLP`, a `spikemnist.models.LeakyConvNet`, or
        the result of `spikemnist.models.accelerate`.
    data : ImageDataset, EventDataset, tuple of torch.Tensor or iterable
        Labelled data, as for `spikemnist.training.evaluate`.
    technology : str or Technology, default "45nm-fp32"
        Energy of single operations: a name in `TECHNOLOGIES`, or your own numbers.
    memory : str, default None
        One of `MEMORIES`, to count a weight read for each operation, and a membrane read and
        written for each neuron and timestep. No reuse is assumed.
    ann_density : float, default 0.5
        Fraction of the hidden activations of an ANN that are non-zero. It is assumed, not
        measured: half of them, as for a ReLU of a symmetric input. The trained ANNs of the page
        *Why spikes* have 0.33 to 0.46 (784-256-10) and 0.42 to 0.66 (8C3-P2-16C3-P2-10).
    batch_size : int, default 128
        Number of samples in a batch, for datasets and tensors.
    device : str or torch.device, default "auto"
        As in `spikemnist.training.evaluate`.
    seed : int, default 0
        Seed for encoders that draw random numbers.
    progress : bool, default True
        Whether to show a bar after two seconds, if standard error is a terminal.

    Returns
    -------
    Energy

    Raises
    ------
    TypeError
        If ``classifier`` or ``data`` is of the wrong kind.
    ValueError
        For an unknown technology or memory, and if labels and classes do not match.
    KeyboardInterrupt
        After the batch during which Ctrl-C was pressed.

    Notes
    -----
    J. Yik et al., *The NeuroBench framework for benchmarking neuromorphic computing algorithms and
    systems*, Nature Communications 16, 2025.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> _, test = load_digits()
    >>> energy = measure_energy(Classifier(LeakyMLP(hidden=20), "latency"), test[:50])
    >>> energy.total.dense == 8 * (784 * 20 + 20 * 10), round(energy.ann_dense.synapses)
    (True, 73048)
    """
    costs = _costs(technology)
    _check_estimate(memory, ann_density)
    network = check_network(classifier, "measure_energy")
    target = select_device(device, dtype=parameter_dtype(network))
    classifier.to(target)
    feed, options = make_feed(data, batch_size, target, "data"), {"record": "all"}
    tally, parts = Tally(network.layers), []
    with (
        interruptible(),
        responses(classifier, feed, seed=seed, options=options, progress=progress) as batches,
    ):
        for _, record, labels in batches:
            check_output(record, labels)
            parts.append(_values(tally.add(record), record, labels))
        check_interrupt()
    values = {name: torch.cat([batch[name] for batch in parts], 1) for name in parts[0]}
    return Energy(
        layers=tuple(tally.summaries(costs)),
        samples=tally.samples,
        num_steps=tally.steps,
        synapses=tally.synapses,
        parameters=sum(p.numel() for p in network.parameters()),
        footprint=_footprint(network),
        technology=costs,
        memory=memory,
        ann_density=ann_density,
        **values,
    )


def _footprint(network: SpikingNetwork) -> int:
    """Return the bytes of parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))


def _costs(technology: str | Technology) -> Technology:
    """Return the costs that a name stands for."""
    if isinstance(technology, Technology):
        return technology
    check_choice("technology", technology, TECHNOLOGIES, ", or a Technology")
    return TECHNOLOGIES[technology]


def _check_estimate(memory: str | None, ann_density: float) -> None:
    """Raise a `ValueError` for an unknown memory or a density out of range."""
    if memory is not None:
        check_choice("memory", memory, MEMORIES, ", or None")
    check_number("ann_density", ann_density, "[0, 1]")


def _values(counts: Sequence[Counts], record: Record, labels: Tensor) -> dict[str, Tensor]:
    """Return what `Energy` holds of each sample at each timestep, ``[T, B]``."""
    sums = {
        name: torch.stack([getattr(layer, name) for layer in counts]).sum(0)
        for name in ("macs", "acs", "spikes")
    }
    running = record.running_predictions == labels
    return {"correct": running.cpu(), "margins": margins(record.running_scores).cpu(), **sums}

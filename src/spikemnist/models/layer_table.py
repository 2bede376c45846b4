"""The table of a network's layers: what they are, and what they do with a batch of images.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from spikemnist import ops
from spikemnist._tables import Table, Tabular
from spikemnist.models.classifier import Classifier, Samples, check_classifier, evaluating
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.operations import TECHNOLOGIES, count

if TYPE_CHECKING:
    from spikemnist.models.record import LayerRecord, Record
    from spikemnist.models.spiking_layer import SpikingLayer

SATURATED = 0.95
"""Share of the timesteps above which a neuron, or a whole layer, counts as saturated."""

REACHED = 0.9
"""Share of neurons and images whose highest membrane lies below `LayerSummary.reach`."""

WORTH = 0.01
"""Share of its maximum from which a surrogate derivative counts."""

TECHNOLOGY = TECHNOLOGIES["45nm-fp32"]

COLUMNS = (
    *(("neurons", "neurons", ""), ("parameters", "parameters", ","), ("spikes", "spikes", ",.1f")),
    *(("silent", "silent", ".0%"), ("saturated", "saturated", ".0%"), ("reach", "reach", ".2f")),
    *(("macs", "MACs", ",.0f"), ("acs", "ACs", ",.0f"), ("energy", "nJ", ",.1f")),
    *(("surrogate", "surrogate", ".0%"), ("gradient", "gradient", ".2g")),
    ("weights", "weights", ".2g"),
)
"""Fields of a layer that the table shows, with title and format."""


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a network, and what it does with a batch; numbers are means over the images.

    Attributes
    ----------
    name : str
        Name of the layer, as in `Record`.
    neurons : str
        Number of neurons, along each axis of a convolution.
    spikes : float
        Spikes that the layer fires.
    silent, saturated : float
        Share of its neurons that fire at no timestep of any image, and of those that fire at more
        than 95 % of all timesteps.
    threshold : float
        Mean threshold of the neurons.
    reach : float
        Share of the threshold that the membrane of one neuron in ten exceeds for an image. Times
        the threshold, it is the threshold at which a tenth of the neurons of a silent layer fire.
    parameters : int or None
        Number of parameters. None where snnTorch steps the network, as are the fields below.
    macs, acs : float or None
        Effective operations, as `spikemnist.measure_energy` counts them: multiplications with
        additions (MACs), and additions alone (ACs).
    energy : float or None
        Nanojoules of the operations and of the decay of the membranes, in 45 nm, float32.
    surrogate : float or None
        Share of neurons and timesteps with a surrogate derivative of at least 1 % of its maximum.
        Only `spikemnist.diagnose` fills this field and the two below.
    gradient, weights : float or None
        Euclidean norms of the gradient and of the parameters of the layer.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> classifier = Classifier(LeakyMLP(hidden=20, threshold=0.3), "latency")
    >>> layer = summary(classifier, load_digits()[1].images[:50]).layers[0]
    >>> layer.name, layer.neurons, layer.parameters, layer.macs
    ('hidden 1', '20', 15700, 0.0)
    """

    name: str
    neurons: str
    spikes: float
    silent: float
    saturated: float
    threshold: float
    reach: float
    parameters: int | None = None
    macs: float | None = None
    acs: float | None = None
    energy: float | None = None
    surrogate: float | None = None
    gradient: float | None = None
    weights: float | None = None


@dataclass(frozen=True, repr=False)
class Summary(Tabular):
    """What the layers of a network are, and what they do with a batch of images.

    Attributes
    ----------
    layers : tuple of LayerSummary
        The layers from input to output.
    network : str
        Name of the network's class.
    parameters : int
        Number of parameters.
    samples, num_steps : int
        Number of images and of timesteps.
    findings : tuple of str
        What is wrong, each with a value to try. `spikemnist.diagnose` looks for it.
    learned : float or None
        Share of the images that the network can learn by heart, which `diagnose` tries.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> table = summary(Classifier(LeakyMLP(hidden=20), "latency"), load_digits()[1].images[:50])
    >>> [layer.name for layer in table.layers], table.parameters
    (['hidden 1', 'output'], 15910)
    """

    layers: tuple[LayerSummary, ...]
    network: str
    parameters: int
    samples: int
    num_steps: int
    findings: tuple[str, ...] = ()
    learned: float | None = None

    def table(self) -> Table:
        """Return a row for each layer, and the findings below, as ``repr`` shows."""
        columns = [one for one in COLUMNS if getattr(self.layers[0], one[0]) is not None]
        rows = [
            (layer.name, *(format(getattr(layer, field), style) for field, _, style in columns))
            for layer in self.layers
        ]
        image = f"{sum(layer.spikes for layer in self.layers):,.1f} spikes"
        if energy := sum(layer.energy or 0 for layer in self.layers):
            image += f", {energy:,.1f} nJ ({TECHNOLOGY.name})"
        notes = [f"one image: {image}", *(f"- {text}" for text in self.findings)]
        if self.learned is not None:
            notes.append(f"{self.learned:.0%} of these images can be learned by heart")
        title = (
            f"{self.network} of {self.parameters:,} parameters, {self.samples} images, "
            f"{self.num_steps} timesteps"
        )
        return Table(title, ("layer", *(head for _, head, _ in columns)), rows, "\n".join(notes))


def summary(classifier: Classifier, images: Samples, *, seed: int = 0) -> Summary:
    """Summarise a network by its layers, and run it on images to see what they do.

    Parameters
    ----------
    classifier : Classifier
        Encoder and network, which runs in evaluation mode. It is not changed.
    images : torch.Tensor or EventBatch
        Images ``[B, ...]`` or recordings; some dozens are enough.
    seed : int, default 0
        Seed for encoders that draw random numbers.

    Returns
    -------
    Summary
        Neurons, parameters, spikes, operations and energy of each layer.

    Raises
    ------
    TypeError
        If ``classifier`` is no `Classifier` of a `SpikingNetwork`.
    ValueError
        If the images do not fit.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> classifier = Classifier(LeakyMLP(hidden=20, threshold=0.3), "latency")
    >>> summary(classifier, load_digits()[1].images[:50]).num_steps
    8
    """
    network = check_network(classifier, "summary")
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    with evaluating(classifier, seed, device) as generator:
        spikes = classifier.encode(images.to(device), generator=generator)
        return summarise(network, network(spikes, record="all"))


def check_network(classifier: Classifier, function: str) -> SpikingNetwork:
    """Return the network of a classifier, or raise a `TypeError` if it does not show its layers."""
    check_classifier(classifier, function)
    if not isinstance(classifier.network, SpikingNetwork):
        raise TypeError(
            f"{function} needs a LeakyMLP, a LeakyConvNet or a network from accelerate(); got "
            f"{type(classifier.network).__name__}"
        )
    return classifier.network


def summarise(network: SpikingNetwork, record: Record, *, backward: bool = False) -> Summary:
    """Summarise a network in evaluation mode by a record of a batch, with ``record="all"``.

    ``backward`` adds the numbers of the backward pass, if the kernels run the network.
    """
    record = record.detach()
    rows = [_summarise(layer) for layer in record.layers]
    steps, batch = record.spikes.shape[:2]
    if not network.obstacle:
        layers = network.layers
        counted = count(layers, record, {})
        for row, layer, counts, one in zip(rows, layers, counted, record.layers, strict=True):
            macs, acs = float(counts.macs.sum()) / batch, float(counts.acs.sum()) / batch
            decays = steps * record.sizes[one.name]
            energy = (TECHNOLOGY.mac * (macs + decays) + TECHNOLOGY.ac * acs) / 1000
            size = sum(p.numel() for p in layer.parameters)
            row.update(parameters=size, macs=macs, acs=acs, energy=energy)
            if backward:
                gradients = [p.grad for p in layer.parameters if p.grad is not None]
                row.update(gradient=norm(gradients), weights=norm(layer.parameters))
                row.update(surrogate=_surrogate_share(layer, one))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    summaries = tuple(LayerSummary(**row) for row in rows)
    return Summary(summaries, type(network).__name__, parameters, batch, steps)


def _summarise(record: LayerRecord) -> dict[str, Any]:
    """Return the fields of a `LayerSummary` that a record has."""
    steps, batch, *shape = record.spikes.shape
    fired = torch.count_nonzero(record.spikes.flatten(2), (0, 1)).cpu()
    highest = (record.membrane / record.threshold).amax(0).flatten().float().cpu()
    return {
        "name": record.name,
        "neurons": " x ".join(map(str, shape)),
        "spikes": int(fired.sum()) / batch,
        "silent": float((fired == 0).float().mean()),
        "saturated": float((fired > SATURATED * steps * batch).float().mean()),
        "threshold": float(record.threshold.mean()),
        "reach": float(np.quantile(highest.numpy(), REACHED)),
    }


def _surrogate_share(layer: SpikingLayer, record: LayerRecord) -> float:
    """Return the share of neurons and timesteps with a surrogate derivative that counts."""
    distance = (record.membrane - record.threshold).flatten()
    grid = torch.arange(-500, 501).to(distance) / 100  # the maximum is here
    x = torch.cat((grid, distance)).requires_grad_()
    slope = torch.autograd.grad(ops.get_surrogate(layer.leaky.spike_grad)(x).sum(), x)[0].abs()
    worth = WORTH * slope[: len(grid)].max()
    return float((slope[len(grid) :] >= worth.clamp(min=1e-30)).float().mean())


def norm(tensors: Sequence[Tensor]) -> float:
    """Return the Euclidean norm of all tensors together."""
    return math.hypot(*(float(torch.linalg.vector_norm(tensor.detach())) for tensor in tensors))

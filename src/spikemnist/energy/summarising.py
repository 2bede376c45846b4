"""What the layers of a network do with a batch of images: activity, operations, energy.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from spikemnist import ops
from spikemnist._tables import Result, Table
from spikemnist.data.dataset import Samples
from spikemnist.energy.costs import TECHNOLOGIES
from spikemnist.energy.operations import Tally
from spikemnist.models.classifier import Classifier, check_network, evaluating
from spikemnist.models.layer_table import SATURATED, LayerSummary, layer_table, with_shape
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.record import LayerRecord, Record
from spikemnist.models.runners import Request, choose
from spikemnist.models.spiking_layer import SpikingLayer

REACHED = 0.9
"""Share of neurons and images whose highest membrane lies below `LayerSummary.reach`."""

WORTH = 0.01
"""Share of its maximum from which a surrogate derivative counts."""

TECHNOLOGY = TECHNOLOGIES["45nm-fp32"]

ACTIVITY = (
    "shape", "parameters", "spikes", "silent", "saturated", "reach", "macs", "acs", "energy",
    "surrogate_share", "gradient_norm", "weight_norm",
)  # fmt: skip
"""Fields of a layer that the table shows, if they were measured."""


@dataclass(frozen=True, repr=False)
class Summary(Result):
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
    conclusion : str
        What `diagnose` makes of it, in sentences; empty in a `spikemnist.summary`.
    fallback : str or None
        Why plain torch runs the network, and no compiled kernels, such as a surrogate that they do
        not know.

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
    conclusion: str = ""
    fallback: str | None = None

    def table(self) -> Table:
        """Return a row for each layer, and the findings below, as ``repr`` shows."""
        first = self.layers[0]
        columns = [name for name in ACTIVITY if getattr(first, name) is not None]
        image = f"{sum(layer.spikes for layer in self.layers):,.1f} spikes"
        if energy := sum(layer.energy or 0 for layer in self.layers):
            image += f", {energy:,.1f} nJ ({TECHNOLOGY.name})"
        notes = [f"one image: {image}", *(f"- {text}" for text in self.findings), self.conclusion]
        if self.fallback:
            notes.insert(1, f"runs on the reference backend: {self.fallback}")
        title = (
            f"{self.network} of {self.parameters:,} parameters, {self.samples} images, "
            f"{self.num_steps} timesteps"
        )
        return layer_table(title, self.layers, columns, "\n".join(notes))


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
    with evaluating(classifier, seed) as generator:
        spikes = classifier.encode(images, generator=generator).to(classifier.device)
        return summarise(network, network(spikes, record="all"))


def summarise(network: SpikingNetwork, record: Record, *, backward: bool = False) -> Summary:
    """Summarise a network in evaluation mode by a record of a batch, with ``record="all"``.

    ``backward`` adds the numbers of the backward pass, if the kernels run the network.
    """
    record = record.detach()
    steps, batch = record.spikes.shape[:2]
    rows = [LayerSummary(name) for name in record.sizes]
    if not network.stepping_reason:
        tally = Tally(network.layers)
        tally.add(record)
        rows = tally.summaries(TECHNOLOGY)
        if backward:
            pairs = zip(rows, network.layers, record.layers, strict=True)
            rows = [_with_gradient(row, layer, output) for row, layer, output in pairs]
    rows = [_with_activity(row, output) for row, output in zip(rows, record.layers, strict=True)]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    reason = None
    if record.backend == "reference" and record.input is not None:
        architecture = network.architecture
        reason = choose(
            network.backend, architecture, Request(record.input, architecture.template)
        ).reason
    name = type(network).__name__
    return Summary(tuple(rows), name, parameters, batch, steps, fallback=reason)


def _with_activity(row: LayerSummary, record: LayerRecord) -> LayerSummary:
    """Return a layer with what its neurons did in a record."""
    steps, batch, *shape = record.spikes.shape
    fired = torch.count_nonzero(record.spikes.flatten(2), (0, 1)).cpu()
    highest = (record.membrane / record.threshold).amax(0).flatten().float().cpu()
    return replace(
        with_shape(row, shape),
        spikes=int(fired.sum()) / batch,
        silent=float((fired == 0).float().mean()),
        saturated=float((fired > SATURATED * steps * batch).float().mean()),
        mean_threshold=float(record.threshold.mean()),
        reach=float(np.quantile(highest.numpy(), REACHED)),
    )


def _with_gradient(row: LayerSummary, layer: SpikingLayer, record: LayerRecord) -> LayerSummary:
    """Return a layer with the numbers of the backward pass."""
    gradients = [p.grad for p in layer.parameters if p.grad is not None]
    return replace(
        row,
        surrogate_share=_surrogate_share(layer, record),
        gradient_norm=norm(gradients),
        weight_norm=norm(layer.parameters),
    )


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

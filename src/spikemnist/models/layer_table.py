"""The table of a network's layers.

The printed form of a network shows its structure, `spikemnist.energy` fills in what the layers did,
and the doctor their gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from spikemnist._tables import Table
from spikemnist.models.neuron import describe_neurons
from spikemnist.models.spiking_layer import SpikingLayer

COLUMNS = {
    "shape": ("neurons", ""),
    "parameters": ("parameters", ","),
    "spikes": ("spikes", ",.1f"),
    "silent": ("silent", ".0%"),
    "saturated": ("saturated", ".0%"),
    "reach": ("reach", ".2f"),
    "dense": ("dense", ",.0f"),
    "macs": ("MACs", ",.0f"),
    "acs": ("ACs", ",.0f"),
    "updates": ("updates", ",.0f"),
    "energy": ("nJ", ",.1f"),
    "activation_sparsity": ("sparsity", ".1%"),
    "connection_sparsity": ("zero weights", ".1%"),
    "surrogate_share": ("surrogate", ".0%"),
    "gradient_norm": ("gradient", ".2g"),
    "weight_norm": ("weights", ".2g"),
}
"""Titles and formats of the fields of a layer; any other is text, and its name the title."""

STRUCTURE = ("modules", "shape", "parameters", "beta", "threshold", "reset", "surrogate")
"""Fields that a network has before it runs."""

SATURATED = 0.95
"""Share of the timesteps above which a neuron, or a whole layer, counts as saturated."""

UNKNOWN: Any = None
"""Value of a field that was not measured."""


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a network: what it is, and what it does with a sample.

    Numbers of operations and spikes are summed over the timesteps; means over the samples. What was
    not measured is None, as operations are where snnTorch steps the network.

    Attributes
    ----------
    name : str
        Name of the layer, as in `Record`.
    shape : str
        Number of neurons, along each axis of a convolution.
    neurons : int
        Number of neurons.
    modules, beta, threshold, reset, surrogate : str
        The modules before the neurons, and the options of the neurons, in words.
    parameters : int
        Number of parameters.
    spikes : float
        Spikes that the layer fires.
    silent, saturated : float
        Share of its neurons that fire at no timestep of any sample, and of those that fire at more
        than 95 % of all timesteps.
    mean_threshold : float
        Mean threshold of the neurons.
    reach : float
        Share of the threshold that the membrane of one neuron in ten exceeds for a sample. Times
        the threshold, it is the threshold at which a tenth of the neurons of a silent layer fire.
    weights, zero_weights : int
        Number of weights, and of weights that are zero.
    opportunities : int
        Number of times the neurons may fire for a sample: each at each timestep.
    decays : int
        Number of times the membranes are multiplied by beta for a sample: each at each timestep, or
        never where each beta is 1.
    macs, acs : float
        Effective operations, of non-zero inputs and weights. A timestep whose inputs are all -1, 0
        or 1 needs only additions (ACs); any other timestep also needs multiplications (MACs).
    dense : float
        Operations of all inputs and weights.
    updates : float
        Membrane updates: all membranes at the first timestep, then the changed ones.
    ann_macs : float
        Operations of inputs that are non-zero at any timestep, counted once per input: the cost of
        the first layer in an ANN that skips zeros.
    energy : float
        Nanojoules of the operations and of the decay of the membranes.
    surrogate_share : float
        Share of neurons and timesteps with a surrogate derivative of at least 1 % of its maximum.
        Only `spikemnist.diagnose` fills this field and the two below.
    gradient_norm, weight_norm : float
        Euclidean norms of the gradient and of the parameters of the layer.

    Examples
    --------
    >>> from spikemnist import LeakyMLP
    >>> layer = structure(LeakyMLP(hidden=20).layers, None)[0]
    >>> layer.name, layer.modules, layer.parameters, layer.macs  # it did not run
    ('hidden 1', 'Flatten Linear', 15700, None)
    """

    name: str
    shape: str = "by input"
    modules: str = ""
    beta: str = ""
    threshold: str = ""
    reset: str = ""
    surrogate: str = ""
    neurons: int = UNKNOWN
    parameters: int = UNKNOWN
    spikes: float = UNKNOWN
    silent: float = UNKNOWN
    saturated: float = UNKNOWN
    mean_threshold: float = UNKNOWN
    reach: float = UNKNOWN
    weights: int = UNKNOWN
    zero_weights: int = UNKNOWN
    opportunities: int = UNKNOWN
    decays: int = UNKNOWN
    macs: float = UNKNOWN
    acs: float = UNKNOWN
    dense: float = UNKNOWN
    updates: float = UNKNOWN
    ann_macs: float = UNKNOWN
    energy: float = UNKNOWN
    surrogate_share: float = UNKNOWN
    gradient_norm: float = UNKNOWN
    weight_norm: float = UNKNOWN

    @property
    def connection_sparsity(self) -> float:
        """Fraction of the weights that are zero."""
        return self.zero_weights / self.weights

    @property
    def activation_sparsity(self) -> float:
        """Fraction of neurons and timesteps without a spike."""
        return 1 - self.spikes / self.opportunities


def layer_names(layers: int) -> list[str]:
    """Return the names of the layers of a network: ``hidden 1``, ``hidden 2``, ..., ``output``."""
    return [*(f"hidden {i + 1}" for i in range(layers - 1)), "output"]


def structure(
    layers: Sequence[SpikingLayer], shapes: Sequence[Sequence[int]] | None
) -> list[LayerSummary]:
    """Return what the layers of a network are, with the ``shapes`` of their neurons if known."""
    summaries = []
    for i, (name, layer) in enumerate(zip(layer_names(len(layers)), layers, strict=True)):
        beta, threshold, reset, surrogate = describe_neurons(layer.leaky)
        row = LayerSummary(
            name,
            modules=" ".join(type(module).__name__ for _, module in layer.modules),
            beta=beta,
            threshold=threshold,
            reset=reset,
            surrogate=surrogate,
            parameters=sum(parameter.numel() for parameter in layer.parameters),
        )
        summaries.append(row if shapes is None else with_shape(row, shapes[i]))
    return summaries


def with_shape(layer: LayerSummary, shape: Sequence[int]) -> LayerSummary:
    """Return a layer with the shape of its neurons, such as ``12 x 24 x 24``."""
    text = " x ".join(f"{size:,}" for size in shape)
    return replace(layer, shape=text, neurons=math.prod(shape))


def layer_table(
    title: str, layers: Sequence[LayerSummary], columns: Sequence[str], note: str = ""
) -> Table:
    """Return a table of some fields with a row for each layer."""
    headings = {name: COLUMNS.get(name, (name, "")) for name in columns}
    rows = [
        (layer.name, *(format(getattr(layer, name), form) for name, (_, form) in headings.items()))
        for layer in layers
    ]
    return Table(title, ("layer", *(heading for heading, _ in headings.values())), rows, note)

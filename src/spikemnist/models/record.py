"""What a network did: the one thing that training, energy figures and plots read.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``C`` classes, ``L`` layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from spikemnist._tensors import check_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """One layer of leaky neurons over all timesteps.

    Attributes
    ----------
    name
        ``"hidden 1"``, ``"hidden 2"``, ..., ``"output"``.
    spikes
        ``[T, B, N]``, zeros and ones.
    membrane
        ``[T, B, N]``, the membrane potential that was compared with the threshold: after
        integration, before the reset.
    threshold
        The firing threshold, a scalar or one for each neuron, detached.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.rand(8, 2, 784).round(), record="all")
    >>> layer = record.layers[0]
    >>> layer.name, layer.spikes.shape, float(layer.threshold)
    ('hidden 1', torch.Size([8, 2, 20]), 1.0)
    """

    name: str
    spikes: Tensor
    membrane: Tensor
    threshold: Tensor


@dataclass(frozen=True, eq=False)
class Record:
    """What a model returns for a batch of spike trains.

    Attributes
    ----------
    spikes
        ``[T, B, C]``, spikes of the output layer.
    membrane
        ``[T, B, C]``, membranes of the output layer.
    scores
        ``[B, C]``, what the model's readout makes of the two; differentiable.
    spike_counts
        ``[L, B]``, how often each layer fired for each sample; int64, detached.
    readout
        Name of the readout that made the scores.
    backend
        Name of the backend that ran.
    sizes
        Number of neurons of each layer by name, in the order of ``spike_counts``.
    layers
        Every layer, the output layer last, when recorded with ``record="all"``; else empty.
    input
        The spikes that went in, ``[T, B, ...]``, when recorded with ``record="all"``.
    state
        Membranes of every layer after the last timestep, when the model was given a ``state``
        to start from; to be passed to the next call.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(8, 2, 784), record="all")
    >>> record.scores.shape, record.input.shape, [layer.name for layer in record.layers]
    (torch.Size([2, 10]), torch.Size([8, 2, 784]), ['hidden 1', 'output'])
    >>> record.spike_counts.shape  # layers, samples
    torch.Size([2, 2])
    """

    spikes: Tensor
    membrane: Tensor
    scores: Tensor
    spike_counts: Tensor
    readout: str
    backend: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    layers: tuple[LayerRecord, ...] = ()
    input: Tensor | None = None
    state: tuple[Tensor, ...] | None = None

    def __repr__(self) -> str:
        steps, batch = self.spikes.shape[:2]
        counts = self.spike_counts.double().mean(1).tolist()
        layers = [
            f"{name}: {neurons:,} neurons, {count:.1f} spikes per sample"
            for (name, neurons), count in zip(self.sizes.items(), counts, strict=False)
        ]
        head = f"Record of {batch} samples and {steps} timesteps, by the backend {self.backend}"
        return "\n  ".join([head, *layers, f"scores by the readout {self.readout}"])

    @property
    def predictions(self) -> Tensor:
        """Decided class of each sample, ``[B]``, int64 (see `decide`)."""
        return decide(self.scores, self.membrane.mean(0))


def decide(scores: Tensor, membrane: Tensor) -> Tensor:
    """Return the class with the highest score; a tie goes to the highest mean membrane.

    A silent output ties all classes. The class that came closest to firing then wins, rather
    than class 0, which a plain argmax would answer.

    Parameters
    ----------
    scores
        ``[..., C]``.
    membrane
        ``[..., C]``, mean membrane of the output neurons.

    Returns
    -------
    torch.Tensor
        ``[...]``, int64.

    Raises
    ------
    TypeError
        When scores or membranes are no tensor.

    Examples
    --------
    >>> import torch
    >>> decide(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[0.1, 0.3, 0.2]]))
    tensor([1])
    """
    check_tensor(scores, "scores", "[..., C]")
    check_tensor(membrane, "membrane", "[..., C]")
    leading = scores == scores.amax(-1, keepdim=True)
    return torch.where(leading, membrane, -torch.inf).argmax(-1)

"""Records of a small leaky network, simulated step by step, for the tests of the pictures."""

from __future__ import annotations

import torch
from matplotlib.colors import same_color
from torch import Tensor

from spikemnist.models.readout import scores
from spikemnist.models.record import LayerRecord, Record

T, B, HIDDEN, CLASSES = 12, 3, 15, 10


def leaky(current: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membranes [T, B, N]: reset by subtraction, beta 0.9."""
    membrane = spike = torch.zeros_like(current[0])
    spikes, membranes = [], []
    for step in current:
        membrane = 0.9 * membrane + step - spike * threshold
        spike = (membrane > threshold).to(current.dtype)
        spikes.append(spike)
        membranes.append(membrane)
    return torch.stack(spikes), torch.stack(membranes)


def make_record(
    *,
    steps: int = T,
    inputs: Tensor | None = None,
    readout: str = "spike_count",
    everything: bool = True,
    gain: float = 1.0,
    hidden_threshold: Tensor | None = None,
) -> Record:
    """A record of a 784-15-10 network (or as many inputs as given) with random weights."""
    generator = torch.Generator().manual_seed(1)
    if inputs is None:
        inputs = (torch.rand(steps, B, 784, generator=generator) < 0.1).float()
    flat = inputs.flatten(2).float()
    one = torch.tensor(1.0)
    threshold = one if hidden_threshold is None else hidden_threshold
    first = torch.randn(flat.shape[2], HIDDEN, generator=generator) * 0.08
    second = torch.randn(HIDDEN, CLASSES, generator=generator) * 0.4
    hidden, hidden_membrane = leaky(flat @ first, threshold)
    spikes, membrane = leaky(gain * hidden @ second, one)
    layers = (
        LayerRecord("hidden 1", hidden, hidden_membrane, threshold),
        LayerRecord("output", spikes, membrane, one),
    )
    return Record(
        spikes=spikes,
        membrane=membrane,
        scores=scores(readout, spikes, membrane),
        spike_counts=torch.stack([hidden.sum((0, 2)), spikes.sum((0, 2))]).long(),
        readout=readout,
        backend="reference",
        layers=layers if everything else (),
        input=inputs if everything else None,
    )


def line(ax, label):
    """The one line with that label."""
    (found,) = [each for each in ax.lines if each.get_label() == label]
    return found


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def title(ax) -> str:
    return ax.get_title(loc="left")


def coloured(artists, colour) -> list[int]:
    """The places of the artists with that face colour."""
    return [i for i, artist in enumerate(artists) if same_color(artist.get_facecolor(), colour)]

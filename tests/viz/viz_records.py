"""Records and results of small networks, for the tests of the pictures."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.colors import same_color
from PIL import Image, ImageSequence
from torch import Tensor

from spikemnist.models import READOUTS
from spikemnist.models.record import LayerRecord, Record
from spikemnist.ops import leaky
from spikemnist.training import Evaluation

T, B, HIDDEN, CLASSES = 12, 3, 15, 10


def make_evaluation(confusion: Tensor) -> Evaluation:
    samples = int(confusion.sum())
    accuracy = float(confusion.diagonal().sum() / samples)
    return Evaluation(accuracy, 1.0, confusion, {}, 0.0, 0.0, torch.zeros(3), samples, "x", 1.0)


def make_record(
    *,
    steps: int = T,
    inputs: Tensor | None = None,
    readout: str = "spike_count",
    everything: bool = True,
    gain: float = 1.0,
    hidden_threshold: Tensor | None = None,
) -> Record:
    """Return a record of a 784-15-10 network (or as many inputs as given) with random weights."""
    generator = torch.Generator().manual_seed(1)
    if inputs is None:
        inputs = (torch.rand(steps, B, 784, generator=generator) < 0.1).float()
    flat = inputs.flatten(2).float()
    one = torch.tensor(1.0)
    threshold = one if hidden_threshold is None else hidden_threshold
    first = torch.randn(flat.shape[2], HIDDEN, generator=generator) * 0.08
    second = torch.randn(HIDDEN, CLASSES, generator=generator) * 0.4
    hidden, hidden_membrane = leaky(flat @ first, 0.9, threshold)
    spikes, membrane = leaky(gain * hidden @ second, 0.9, one)
    layers = (
        LayerRecord("hidden 1", hidden, hidden_membrane, threshold, "subtract"),
        LayerRecord("output", spikes, membrane, one, "subtract"),
    )
    return Record(
        spikes=spikes,
        membrane=membrane,
        scores=READOUTS[readout](spikes, membrane),
        spike_counts=torch.stack([hidden.sum((0, 2)), spikes.sum((0, 2))]).long(),
        readout=READOUTS[readout],
        backend="reference",
        layers=layers if everything else (),
        input=inputs if everything else None,
    )


def gif_frames(file) -> list[np.ndarray]:
    """Return the frames of a GIF, in grey."""
    with Image.open(file) as gif:
        return [np.asarray(frame.convert("L"), np.int64) for frame in ImageSequence.Iterator(gif)]


def line(ax, label):
    """Return the one line with that label."""
    (only,) = [curve for curve in ax.lines if curve.get_label() == label]
    return only


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_text()]


def entries(ax) -> list[str]:
    """Return the entries of the legend, from the top."""
    return [text.get_text() for text in ax.get_legend().texts]


def title(ax) -> str:
    return ax.get_title(loc="left")


def coloured(artists, colour) -> list[int]:
    """Return the places of the artists with that face colour."""
    return [i for i, artist in enumerate(artists) if same_color(artist.get_facecolor(), colour)]

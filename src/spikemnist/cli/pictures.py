"""The pictures that commands write."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from matplotlib.figure import Figure

from spikemnist import viz
from spikemnist._atomic import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from torch import Tensor

    from spikemnist.data import ImageDataset
    from spikemnist.encoding import Encoder
    from spikemnist.models import Record
    from spikemnist.models.files import Model
    from spikemnist.training import Evaluation, History


def draw_training(
    folder: Path,
    model: Model,
    encoder: Encoder,
    test: ImageDataset,
    history: History,
    figures: Evaluation,
) -> list[Path]:
    """Draw how a training went and what the network does with the first test image."""
    record = watch(model, encoder, test, index=0, seed=0)
    image, label = test.images[0], int(test.labels[0])
    return [
        save(viz.training_curves(history), folder / "training.png"),
        save(viz.confusion(figures), folder / "confusion.png"),
        save(encoding(record, image), folder / "encoding.png"),
        save(decision(record, label), folder / "decision.png"),
    ]


def draw_image(
    folder: Path, model: Model, encoder: Encoder, test: ImageDataset, index: int, seed: int
) -> list[Path]:
    """Draw everything that happens to one test image, and the first layer's weights."""
    record = watch(model, encoder, test, index=index, seed=seed)
    image, label = test.images[index], int(test.labels[index])
    shape = input_shape(record, image)
    animation = viz.animate(record, label=label, image_shape=shape)
    return [
        save(encoding(record, image), folder / f"encoding-{index}.png"),
        save(decision(record, label), folder / f"decision-{index}.png"),
        save(viz.raster(record, layer=0), folder / f"raster-{index}.png"),
        save(viz.membrane(record, layer=0), folder / f"membrane-{index}.png"),
        save(viz.spike_counts(record, label=label), folder / f"spike_counts-{index}.png"),
        save(viz.receptive_fields(model, image_shape=shape), folder / "receptive_fields.png"),
        write_atomically(
            folder / f"animation-{index}.gif", lambda file: animation.save(file, writer="pillow")
        ),
    ]


def watch(model: Model, encoder: Encoder, test: ImageDataset, *, index: int, seed: int) -> Record:
    """Run one test image through the network, recording everything."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    spikes = encoder(test.images[index : index + 1], generator=generator).to(device)
    model.eval()
    with torch.no_grad():
        record: Record = model(spikes, record="all")
    return record


def encoding(spikes: Tensor | Record, image: Tensor) -> Figure:
    """Draw the spikes of an image, beside the image where they are pixel by pixel."""
    shape = input_shape(spikes, image)
    same = shape[0] * shape[1] == image.numel()
    return viz.encoding(spikes, image=image if same else None, image_shape=shape)


def input_shape(spikes: Tensor | Record, image: Tensor) -> tuple[int, int]:
    """Return height and width of a picture of the input.

    Those of the image where it has as many values; else its channels below one another.
    """
    given = spikes if isinstance(spikes, torch.Tensor) else spikes.input
    assert given is not None
    shape = given.shape[2:]
    if shape.numel() == image.numel():
        shape = image.shape[-2:]
    return shape[:-1].numel(), shape[-1]


def decision(record: Record, label: int) -> Figure:
    """Draw output membranes, output spikes and the running decision above one another."""
    figure = Figure(figsize=(7, 10), layout="constrained")
    membrane, raster, decision = figure.subplots(3, 1, height_ratios=(4, 2, 3.5))
    viz.membrane(record, ax=membrane)
    viz.raster(record, ax=raster)
    viz.decision(record, label=label, ax=decision)
    return figure


def save(drawing: Figure | Axes, path: Path) -> Path:
    """Write a figure, or the figure that axes are in, to a file, atomically."""
    figure = drawing if isinstance(drawing, Figure) else cast(Figure, drawing.figure)
    return write_atomically(path, lambda file: figure.savefig(file, dpi=150))

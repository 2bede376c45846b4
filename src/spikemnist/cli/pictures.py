"""Pictures that commands write."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import spikemnist
from spikemnist._atomic import write_atomically
from spikemnist.cli.errors import WrongRequest

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from spikemnist.cli.parser import Options
    from spikemnist.cli.sources import Sample
    from spikemnist.models import Classifier, Record
    from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
    from spikemnist.training import Evaluation, History


KINDS = ("png", "pdf", "svg")
"""Formats of pictures; animations are always GIF."""


def add_format(add: Options) -> None:
    """Add the option for the format of pictures that get their names from the program."""
    add("--format", "format of the pictures; animations are GIF", KINDS[0], names=KINDS)


def draw_training(
    folder: Path,
    classifier: Classifier,
    sample: Sample,
    history: History,
    evaluation: Evaluation,
) -> list[Path]:
    """Draw the course of a training, and the network's response to a test sample."""
    record = watch(classifier, sample.samples, seed=0)
    return [
        save(spikemnist.viz.training_curves(history, test=evaluation), folder / "training.png"),
        save(spikemnist.viz.confusion(evaluation), folder / "confusion.png"),
        save(encoding(record, sample.image), folder / f"encoding-{sample.index}.png"),
        save(decision(record, sample.label), folder / f"decision-{sample.index}.png"),
    ]


def draw_sample(
    folder: Path, classifier: Classifier, sample: Sample, seed: int, kind: str
) -> Iterator[Path]:
    """Draw the network's response to a test sample, and the weights of its first layer.

    Yields the path of each picture as soon as it is written.
    """
    record = watch(classifier, sample.samples, seed=seed)
    label, index = sample.label, sample.index
    shape = input_shape(record, sample.image)
    if sample.image is None:
        yield from draw_events(folder, sample, kind)
    yield save(encoding(record, sample.image), folder / f"encoding-{index}.{kind}")
    yield save(decision(record, label), folder / f"decision-{index}.{kind}")
    yield save(spikemnist.viz.raster(record, layer=0), folder / f"raster-{index}.{kind}")
    yield save(spikemnist.viz.membrane(record, layer=0), folder / f"membrane-{index}.{kind}")
    yield save(
        spikemnist.viz.spike_counts(record, label=label), folder / f"spike_counts-{index}.{kind}"
    )
    yield save(
        spikemnist.viz.receptive_fields(classifier.network, image_shape=shape),
        folder / f"receptive_fields.{kind}",
    )
    animation = spikemnist.viz.animate(record, label=label, image_shape=shape)
    yield save_animation(animation, folder / f"animation-{index}.gif")


def draw_stdp(
    folder: Path,
    classifier: STDPClassifier | ConvSTDPClassifier,
    evaluation: Evaluation,
    image: Tensor,
    kind: str = "png",
) -> Iterator[Path]:
    """Draw what a classifier has learned of such images by STDP; yield the path of each picture."""
    shape = image.shape[:-1].numel(), image.shape[-1]
    fields = spikemnist.viz.receptive_fields(classifier, image_shape=shape)
    yield save(fields, folder / f"receptive_fields.{kind}")
    yield save(spikemnist.viz.confusion(evaluation), folder / f"confusion.{kind}")
    if isinstance(classifier, spikemnist.STDPClassifier):
        yield save(spikemnist.viz.assignments(classifier), folder / f"assignments.{kind}")
        yield save(spikemnist.viz.thresholds(classifier), folder / f"thresholds.{kind}")
        yield save(spikemnist.viz.running_accuracy(classifier), folder / f"running_accuracy.{kind}")


def draw_events(folder: Path, sample: Sample, kind: str) -> Iterator[Path]:
    """Draw the events of a recording, if it has any."""
    events, name = sample.samples.recording(0), f"events-{sample.index}"
    sensor: Any = {"sensor": sample.samples.sensor}
    if not len(events):
        return
    yield save(
        spikemnist.viz.event_frames(events, num_frames=12, **sensor), folder / f"{name}.{kind}"
    )
    yield save_animation(spikemnist.viz.animate_events(events, **sensor), folder / f"{name}.gif")


def watch(classifier: Classifier, samples: Any, *, seed: int) -> Record:
    """Run a batch of images or events through the classifier and record everything."""
    import torch

    classifier.eval()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        return classifier(samples, generator=generator, record="all")


def encoding(spikes: Tensor | Record, image: Tensor | None) -> Figure:
    """Draw the spikes of a sample, with the image if they match pixel by pixel."""
    shape = input_shape(spikes, image)
    same = image is not None and shape[0] * shape[1] == image.numel()
    return spikemnist.viz.encoding(spikes, image=image if same else None, image_shape=shape)


def input_shape(spikes: Tensor | Record, image: Tensor | None) -> tuple[int, int]:
    """Return height and width of a picture of the input.

    The image's shape if it has as many values; else the input's channels are below one another.
    """
    values = spikes if hasattr(spikes, "shape") else spikes.input
    assert values is not None
    shape = values.shape[2:]
    if image is not None and shape.numel() == image.numel():
        shape = image.shape
    return shape[:-1].numel(), shape[-1]


def decision(record: Record, label: int | None = None, *, image: Tensor | None = None) -> Figure:
    """Draw the output membranes with their spikes above the running decision.

    The image, if given, is above them.
    """
    from matplotlib.figure import Figure

    heights = [4.6, 3.4] if image is None else [2.2, 4.6, 3.4]
    figure = Figure(figsize=(5.6, sum(heights)), layout="constrained")
    *above, membrane, decision = figure.subplots(len(heights), 1, height_ratios=heights)
    if image is not None:
        pixels = image.movedim(0, -1) if image.ndim == 3 else image
        above[0].imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=255)
        above[0].set(xticks=[], yticks=[], title="what the network sees")
    spikemnist.viz.membrane(record, ax=membrane)
    spikemnist.viz.decision(record, label=label, ax=decision)
    return figure


def check_format(out: Path, *others: str) -> None:
    """Refuse a file that is neither a picture nor of another kind that the command writes.

    Raises
    ------
    WrongRequest
        With the kinds to choose from.
    """
    kinds = (*(f".{kind}" for kind in KINDS), *others)
    if out.suffix not in kinds:
        raise WrongRequest(f"--out must end in {', '.join(kinds[:-1])} or {kinds[-1]}; got {out}")


def unused(name: str) -> Path:
    """Return an unused file name in the current folder, with a number if needed."""
    first = Path(name)
    others = (first.with_name(f"{first.stem}-{n}{first.suffix}") for n in itertools.count(2))
    return next(path for path in itertools.chain([first], others) if not path.exists())


def save(drawing: Figure | Axes, path: Path) -> Path:
    """Write a figure, or the figure that contains the Axes, to a file atomically."""
    figure = cast("Figure", getattr(drawing, "figure", drawing))  # a Figure is its own
    return write_atomically(path, lambda file: figure.savefig(file, dpi=150))


def save_animation(animation: FuncAnimation, path: Path) -> Path:
    """Write an animation to a GIF atomically."""
    return write_atomically(path, lambda file: animation.save(file, writer="pillow"))

"""``spikemnist plot``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikemnist
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.errors import request
from spikemnist.cli.output import show

if TYPE_CHECKING:
    from spikemnist.cli.parser import Command, Options
    from spikemnist.cli.sources import Dataset

SUMMARY = "Draw the activity of a network for an image, or what STDP has learned."
EXAMPLES = """
spikemnist plot mnist-conv --index 7
spikemnist plot runs/mnist --out pictures
"""


def add_options(add: Options) -> None:
    """Add the options."""
    classifiers.add_argument(add)
    sources.add_options(add, absent="as in training, else digits")
    add.shared("--index", "--device", "--seed")
    text, absent = "folder for the pictures", "the run folder, or one of the network's name"
    add("--out", text, kind=Path, value="PATH", absent=absent)
    pictures.add_format(add)


def run(command: Command) -> int:
    """Draw the response of a trained network to one test sample, or what STDP has learned."""
    with request(command):
        spikemnist.training.select_device(command.device)
    source = classifiers.find(command.run)
    classifiers.check_options(command, command.run, source, "index", "seed", "device")
    _, test = sources.test_set(command, source.data)
    written = []
    for path in _draw(command, source.classifier, test, command.out or source.folder):
        written.append(path)
        if not command.json:  # one after the other, to show progress
            show(command, written=path)
    if command.json:
        show(command, written=written)
    return 0


def _draw(command: Command, classifier: Any, test: Dataset, folder: Path) -> Iterator[Path]:
    """Draw the pictures; yield the path of each."""
    if not isinstance(classifier, spikemnist.Classifier):
        evaluation = spikemnist.evaluate(classifier, test)
        image: Any = sources.sample(test, 0).image
        yield from pictures.draw_stdp(folder, classifier, evaluation, image, command.format)
        return
    classifier.to(spikemnist.training.select_device(command.device))
    sample = sources.sample(test, command.index)
    yield from pictures.draw_sample(folder, classifier, sample, command.seed, command.format)
    options: Any = {"device": command.device, "seed": command.seed}
    energy = spikemnist.measure_energy(classifier, test, **options)
    yield pictures.save(spikemnist.viz.energy(energy), folder / f"energy.{command.format}")

"""``spikemnist plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spikemnist
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.errors import request
from spikemnist.cli.output import show
from spikemnist.cli.parser import Command, Options

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
    classifier, trained = classifiers.find(command.run)
    classifiers.check_options(command, command.run, classifier, "index", "seed", "device")
    _, test = sources.test_set(command, trained)
    written = []
    figures = _draw(command, classifier, test)
    folder = command.out or classifiers.folder_of(command.run)
    for path in pictures.save_all(figures, folder, command.format):
        written.append(path)
        if not command.json:  # one after the other, to show progress
            show(command, written=path)
    if command.json:
        show(command, written=written)
    return 0


def _draw(command: Command, classifier: Any, test: sources.Dataset) -> dict[str, Any]:
    """Return the pictures by the names of their files."""
    samples, _ = sources.sample_at(test, command.index)
    if not isinstance(classifier, spikemnist.Classifier):
        evaluation = spikemnist.evaluate(classifier, test)
        shape = samples.shape[1:]
        return {**spikemnist.viz.of_run(classifier, evaluation=evaluation, image_shape=shape)}
    options = {"device": command.device, "seed": command.seed}
    energy = spikemnist.measure_energy(classifier, test, **options)
    shape = classifier.encode(samples).shape[2:]
    figures = pictures.of_sample(classifier, test, command.index, command.seed, animations=True)
    return figures | spikemnist.viz.of_run(classifier, energy=energy, image_shape=shape)

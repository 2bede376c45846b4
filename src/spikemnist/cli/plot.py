"""``spikemnist plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist import viz
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.errors import request
from spikemnist.energy import measure_energy
from spikemnist.models import Classifier
from spikemnist.training import evaluate, select_device

if TYPE_CHECKING:
    from spikemnist.cli.options import Plot


def run(command: Plot) -> int:
    """Draw the response of a trained network to one test sample, or what STDP has learned."""
    with request("--device"):
        device = select_device(command.device)
    source = classifiers.find(command.run)
    classifiers.check_options(command, command.run, source, "index", "seed", "device")
    classifier, options, own_folder = source
    _, test = sources.test_set(command, options)
    folder = command.out or own_folder
    if not isinstance(classifier, Classifier):
        for path in pictures.draw_stdp(folder, classifier, evaluate(classifier, test)):
            print(path, flush=True)
        return 0
    classifier.to(device)
    sample = sources.sample(test, command.index)
    for path in pictures.draw_sample(folder, classifier, sample, command.seed):
        print(path, flush=True)  # one after the other, to show progress
    energy = measure_energy(classifier, test, device=device, seed=command.seed)
    print(pictures.save(viz.energy(energy), folder / "energy.png"))
    return 0

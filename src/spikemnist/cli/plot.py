"""``spikemnist plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist import viz
from spikemnist.cli import networks, pictures, runs, sources, stdp
from spikemnist.cli.errors import request
from spikemnist.energy import measure_energy
from spikemnist.training import select_device

if TYPE_CHECKING:
    from spikemnist.cli.options import Plot


def run(command: Plot) -> int:
    """Draw the response of a trained network to one test sample."""
    if runs.is_stdp(command.run):
        return stdp.plot(command)
    with request("--device"):
        device = select_device(command.device)
    classifier, options, own_folder = networks.find(command.run)
    classifier.to(device)
    _, test = sources.test_set(command, options)
    sample = sources.sample(test, command.index)
    folder = command.out or own_folder
    for path in pictures.draw_sample(folder, classifier, sample, command.seed):
        print(path, flush=True)  # one after the other, to show progress
    energy = measure_energy(classifier, test, device=device, seed=command.seed)
    print(pictures.save(viz.energy(energy), folder / "energy.png"))
    return 0

"""``spikemnist plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist import viz
from spikemnist.cli import pictures, runs, sources, stdp
from spikemnist.cli.evaluate import load, model_file
from spikemnist.energy import measure_energy

if TYPE_CHECKING:
    from spikemnist.cli.options import Plot


def run(command: Plot) -> int:
    """Draw what the network of a run does with one test image."""
    if runs.is_stdp(command.run):
        return stdp.plot(command)
    config = runs.read_config(command.run)
    model, encoder = load(model_file(command.run))
    data = config["data"]
    _, test = sources.load(data, config["root"], **runs.event_options(config, data))
    shown = pictures.Shown(*sources.sample(test, command.index), command.index)
    folder = command.out or command.run
    for path in pictures.draw_sample(folder, model, encoder, shown, command.seed):
        print(path)
    energy = measure_energy(model, test, encoder=encoder, seed=command.seed)
    print(pictures.save(viz.energy(energy), folder / "energy.png"))
    return 0

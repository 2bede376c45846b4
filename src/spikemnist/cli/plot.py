"""``spikemnist plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.encode import check_index
from spikemnist.cli.evaluate import load, model_file

if TYPE_CHECKING:
    from spikemnist.cli.options import Plot


def run(command: Plot) -> int:
    """Draw what the network of a run does with one test image."""
    config = runs.read_config(command.run)
    model, encoder = load(model_file(command.run))
    _, test = sources.load(config["data"], config["root"])
    check_index(command.index, test)
    folder = command.out or command.run
    for path in pictures.draw_image(folder, model, encoder, test, command.index, command.seed):
        print(path)
    return 0

"""``spikemnist stdp``."""

from __future__ import annotations

import time
from typing import Any, get_args

import spikemnist
from spikemnist._names import Voting
from spikemnist._run_folder import FILES, METRICS
from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, refuse
from spikemnist.cli.output import command_line, say, show, show_detail
from spikemnist.cli.parser import Command, Options, number, whole

SUMMARY = "Learn digits without labels by STDP, and test the result."
EXAMPLES = """
spikemnist stdp
spikemnist stdp --data mnist --neurons 1600 --out runs/stdp
spikemnist stdp --features 16
"""

OF_NEURONS = ("neurons", "passes", "theta_plus", "voting")
"""Options that do not apply to convolutional features."""


def add_options(add: Options) -> None:
    """Add the options."""
    sources.add_options(add, sources.IMAGES)
    count = whole(1, 1_000_000)
    add("--neurons", "competing neurons", 400, kind=count, value="N")
    text = (
        "convolutional features to learn instead of neurons that see whole images; labels train "
        "their readout"
    )
    add("--features", text, kind=count, value="N")
    add("--passes", "passes over the training images", 1, kind=count, value="N")
    text = "mean rise of a threshold with each spike, in mV"
    absent = "by the numbers of neurons and images"
    add("--theta-plus", text, kind=number(0, 1000), value="MV", absent=absent)
    text = (
        "vote of a spike. proportional: for all classes that its neuron responds to. assigned: for "
        "the class that the neuron is assigned to"
    )
    add("--voting", text, "proportional", names=get_args(Voting))
    text = "seed of the weights, the order of the images and the spikes"
    add("--seed", text, 0, kind=whole(0, 2**63 - 1), value="N")
    runs.add_options(add, resume=False)


def check(command: Command) -> None:
    """Refuse options that do not fit each other."""
    if command.features is not None:
        refuse(command, *OF_NEURONS, because="with --features")
    sources.check_place(command, command.data)


def run(command: Command) -> int:
    """Learn, test, draw and print the results."""
    start = time.perf_counter()
    classifier = _classifier(command)
    show_detail(command, classifier)
    train, test = sources.load(vars(command))
    with runs.run_folder(command, "stdp") as folder:
        classifier.fit(train, run=folder)
    next_step = f"next              {command_line('spikemnist', 'evaluate', folder)}"
    if getattr(classifier, "interrupted_", False):
        show(command, run=folder, interrupted=True, images=classifier.n_images_seen_)
        say(command, next_step)
        return INTERRUPTED
    evaluation = spikemnist.evaluate(classifier, test)
    figures = spikemnist.viz.of_run(
        classifier, evaluation=evaluation, image_shape=train.sample_shape
    )
    written = [name for name in FILES if (folder / name).exists()]
    figure_files = [path.name for path in pictures.save_all(figures, folder)]
    steps = ("theta_plus", "learning_rate") if METRICS in written else ()
    show(
        command,
        run=folder,
        interrupted=False,
        test=evaluation,
        **{name: float(f"{getattr(classifier, f'{name}_'):.3g}") for name in steps},
        total_seconds=time.perf_counter() - start,
        files=written + figure_files,
    )
    say(command, next_step)
    return 0


def _classifier(command: Command) -> Any:
    """Return the untrained classifier."""
    if command.features is not None:
        return spikemnist.plasticity.ConvSTDPClassifier(command.features, random_state=command.seed)
    return spikemnist.STDPClassifier(
        command.neurons,
        passes=command.passes,
        theta_plus=command.theta_plus,
        voting=command.voting,
        random_state=command.seed,
    )

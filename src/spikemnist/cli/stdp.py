"""``spikemnist stdp``."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, get_args

import spikemnist
from spikemnist._atomic import write_atomically
from spikemnist._descriptions import plain
from spikemnist._names import Voting
from spikemnist._run_folder import CONFIG, METRICS, MODEL, open_folder
from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, refuse, request
from spikemnist.cli.output import command_line, say, show, show_detail
from spikemnist.cli.parser import Command, Options, number, whole

SUMMARY = "Learn digits without labels by STDP, and test the result."
EXAMPLES = """
spikemnist stdp
spikemnist stdp --data mnist --neurons 1600 --out runs/stdp
spikemnist stdp --features 16
"""

PARAMETERS = {
    "features": "n_features",
    "neurons": "n_neurons",
    "passes": "passes",
    "theta_plus": "theta_plus",
    "voting": "voting",
    "seed": "random_state",
}
"""Parameter of a classifier behind each option."""

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
    from spikemnist.data.feed import describe_data

    start = time.perf_counter()
    with request(command):
        classifier = _classifier(command)
    show_detail(command, classifier)
    images, test = sources.load(vars(command))
    train = images.images, images.labels  # type: ignore[attr-defined]  # --data has no recordings
    files, settings = [MODEL, CONFIG], dict[str, float]()
    description = {
        "classifier": {"name": type(classifier).__name__, **plain(classifier.get_params())},
        "data": describe_data(images, None),
    }
    with (
        runs.run_folder(command, "stdp") as folder,
        open_folder(folder, description, resume=False),
    ):
        model = folder / MODEL
        next_step = f"next              {command_line('spikemnist', 'evaluate', folder)}"
        if isinstance(classifier, spikemnist.plasticity.ConvSTDPClassifier):
            classifier.fit(*train)
        else:
            classifier.fit(*train, checkpoint=model)
            if classifier.interrupted_:
                classifier.save(model)
                show(command, run=folder, interrupted=True, images=classifier.n_images_seen_)
                say(command, next_step)
                return INTERRUPTED
            _write_metrics(classifier, folder / METRICS)
            files.append(METRICS)
            settings["theta_plus"] = classifier.theta_plus_
            settings["learning_rate"] = classifier.learning_rate_
        classifier.save(model)
    evaluation = spikemnist.evaluate(classifier, test)
    shape = train[0].shape[1:]
    drawn = spikemnist.viz.of_run(classifier, evaluation=evaluation, image_shape=shape)
    files += [path.name for path in pictures.save_all(drawn, folder)]
    show(
        command,
        run=folder,
        interrupted=False,
        test=evaluation,
        **{name: float(f"{value:.3g}") for name, value in settings.items()},
        total_seconds=time.perf_counter() - start,
        files=files,
    )
    say(command, next_step)
    return 0


def _classifier(command: Command) -> Any:
    """Return the untrained classifier."""
    kind: Any = spikemnist.STDPClassifier
    if command.features is not None:
        kind = spikemnist.plasticity.ConvSTDPClassifier
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: vars(command)[o] for o, name in PARAMETERS.items() if name in known})


def _write_metrics(classifier: spikemnist.STDPClassifier, file: Path) -> None:
    """Write the running accuracies."""
    rows = [f"{int(images)},{share}\n" for images, share in classifier.accuracy_history_]
    text = "".join(["images,accuracy\n", *rows])
    write_atomically(file, lambda path: path.write_text(text, encoding="utf-8", newline="\n"))

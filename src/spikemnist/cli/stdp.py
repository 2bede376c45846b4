"""``spikemnist stdp``."""

from __future__ import annotations

import csv
import time
from typing import TYPE_CHECKING, Any

from spikemnist._atomic import write_atomically
from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, request
from spikemnist.cli.evaluate import show_evaluation
from spikemnist.cli.limits import flag
from spikemnist.cli.options import Stdp
from spikemnist.cli.output import show_json
from spikemnist.cli.wording import command_line, file_lines, to_continue
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from spikemnist.training import evaluate

if TYPE_CHECKING:
    from pathlib import Path

    Classifier = STDPClassifier | ConvSTDPClassifier

OF_NEURONS = ("neurons", "passes", "theta_plus", "voting")
"""Options that do not apply to convolutional features."""


def run(command: Stdp) -> int:
    """Learn, test, draw and print the results."""
    start = time.perf_counter()
    with request():
        classifier = _classifier(command)
    if command.resume:
        runs.check_same_options(command)
    else:
        sources.check_root(command.data, command.root)
    images, test = sources.load(command.data, command.root)
    train = images.images, images.labels  # type: ignore[union-attr]  # --data has no recordings
    files = [runs.MODEL, runs.CONFIG]
    with runs.run_folder(command) as folder:
        model = folder / runs.MODEL
        if isinstance(classifier, ConvSTDPClassifier):
            classifier.fit(*train)
        else:
            classifier.fit(*train, checkpoint=model, resume=model.exists())
            if classifier.interrupted_:
                passes = classifier.n_images_seen_ // len(train[0])
                _tell_interrupted(command, folder, passes)
                return INTERRUPTED
            _write_metrics(classifier, folder / runs.METRICS)
            files.append(runs.METRICS)
        classifier.save(model)
    training_seconds = time.perf_counter() - start
    evaluation = evaluate(classifier, test)
    drawings = list(pictures.draw_stdp(folder, classifier, evaluation))
    seconds = time.perf_counter() - start
    if command.json:
        paths = [*(folder / name for name in files), *drawings]
        results: dict[str, Any] = {
            "run": folder,
            "interrupted": False,
            "seconds": seconds,
            "files": paths,
        }
        show_json(**results, test=evaluation, **_learning_settings(classifier))
        return 0
    show_evaluation(evaluation, command.data)
    if settings := _learning_settings(classifier):
        print(
            f"learned with      --theta-plus {settings['theta_plus']:.3g}, "
            f"learning rate {settings['learning_rate']:.3g}"
        )
    print(f"training          {training_seconds:.1f} s, {seconds:.1f} s in all")
    print(file_lines(folder, files, drawings), end="")
    if not command.quiet:
        print(f"try next          {command_line('spikemnist', 'evaluate', folder)}")
    return 0


def _classifier(command: Stdp) -> Classifier:
    """Return the untrained classifier.

    Raises
    ------
    ValueError
        For options that are invalid, alone or together.
    """
    classifier: Classifier
    if command.features is None:
        classifier = STDPClassifier(
            command.neurons,
            passes=command.passes,
            theta_plus=command.theta_plus,
            voting=command.voting,
            random_state=command.seed,
        )
    else:
        for name in OF_NEURONS:
            if getattr(command, name) != getattr(Stdp, name):
                raise ValueError(f"{flag(name)} cannot be combined with --features; remove it")
        classifier = ConvSTDPClassifier(command.features, random_state=command.seed)
    return classifier


def _write_metrics(classifier: STDPClassifier, file: Path) -> None:
    """Write the running accuracies."""

    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("images", "accuracy"))
            writer.writerows((int(images), share) for images, share in classifier.accuracy_history_)

    write_atomically(file, write)


def _tell_interrupted(command: Stdp, folder: Path, passes: int) -> None:
    if command.json:
        show_json(run=folder, interrupted=True, passes=passes)
    else:
        print(to_continue("stdp", folder, f"{passes} of {command.passes} passes"))


def _learning_settings(classifier: Classifier) -> dict[str, float]:
    """Return the settings that the classifier has chosen itself."""
    if isinstance(classifier, ConvSTDPClassifier):
        return {}
    return {"theta_plus": classifier.theta_plus_, "learning_rate": classifier.learning_rate_}

"""``spikemnist stdp``."""

from __future__ import annotations

import csv
import sys
import time
from typing import TYPE_CHECKING, Any

from spikemnist import viz
from spikemnist._atomic import write_atomically
from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, WrongRequest, request
from spikemnist.cli.limits import flag
from spikemnist.cli.options import Evaluate, Plot, Stdp
from spikemnist.cli.output import coloured, show_json
from spikemnist.cli.wording import command_line, file_lines, to_continue
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.sources import Dataset
    from spikemnist.plasticity import STDPEvaluation

    Classifier = STDPClassifier | ConvSTDPClassifier

OF_NEURONS = ("neurons", "passes", "theta_plus", "voting")
"""Options that do not apply to convolutional features."""


def run(command: Stdp) -> int:
    """Learn, test, draw and print the results."""
    start = time.perf_counter()
    with request():
        classifier = _classifier(command)
    if command.resume:
        runs.check_resumed(command)
    else:
        sources.check_root(command.data, command.root)
    train, test = map(_images, sources.load(command.data, command.root))
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
    evaluation = classifier.evaluate(*test)
    drawings = _draw(classifier, evaluation, folder)
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
    _tell(evaluation, classifier)
    print(f"time              {training_seconds:.1f} s of training, {seconds:.1f} s in all")
    print(file_lines(folder, files, drawings), end="")
    if not command.quiet:
        print(f"try next          {command_line('spikemnist', 'evaluate', folder)}")
    return 0


def check(command: Evaluate, run: Path) -> None:
    """Refuse options that do not apply to a run of ``spikemnist stdp``.

    Raises
    ------
    WrongRequest
        With the reason, and the options to leave out.
    """
    if command.robustness:
        raise WrongRequest(
            f"{run} is a run of `spikemnist stdp`, but --robustness needs a network of `train`; "
            "remove it"
        )
    if command.energy or command.technology != Evaluate.technology or command.memory:
        raise WrongRequest(
            f"{run} is a run of `spikemnist stdp`, but --energy, --technology and --memory need a "
            "network of `train`; remove them"
        )
    if command.backend or command.device not in ("auto", "cpu"):
        raise WrongRequest(
            f"{run} is a run of `spikemnist stdp`, which has one backend, on the CPU; remove "
            "--backend and --device"
        )


def evaluate(command: Evaluate, run: Path) -> None:
    """Test the classifier of a run of ``spikemnist stdp``."""
    evaluation, classifier = _test(command, run)
    if command.json:
        show_json(run=run, **vars(evaluation), **_learning_settings(classifier))
    else:
        _tell(evaluation, classifier)


def plot(command: Plot) -> int:
    """Draw the pictures of a run of ``spikemnist stdp`` again."""
    for name in ("index", "seed"):
        if getattr(command, name) != getattr(Plot, name):
            raise WrongRequest(
                f"{command.run} is a run of `spikemnist stdp`, whose pictures show all images; "
                f"remove --{name}"
            )
    if command.device not in ("auto", "cpu"):
        raise WrongRequest(
            f"{command.run} is a run of `spikemnist stdp`, which runs on the CPU; remove --device"
        )
    evaluation, classifier = _test(command, command.run)
    for path in _draw(classifier, evaluation, command.out or command.run):
        print(path)
    return 0


def _test(command: Evaluate | Plot, run: Path) -> tuple[STDPEvaluation, Classifier]:
    """Test the classifier of a finished run; return the evaluation and the classifier.

    Raises
    ------
    WrongRequest
        If the run has not ended.
    """
    config, file = runs.read_config(run, Stdp), run / runs.MODEL
    if not file.is_file():
        raise WrongRequest(
            f"{run} has no {runs.MODEL}, because the run has not finished; continue it with "
            f"`{command_line('spikemnist', 'stdp', '--resume', '--out', run)}`"
        )
    kind = STDPClassifier if config["features"] is None else ConvSTDPClassifier
    classifier: Classifier = kind.load(file)
    _, test = sources.test_set(command, config)
    return classifier.evaluate(*_images(test)), classifier


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


def _images(dataset: Dataset) -> tuple[Any, Any]:
    return dataset.images, dataset.labels  # type: ignore[union-attr]


def _write_metrics(classifier: STDPClassifier, file: Path) -> None:
    """Write the running accuracies."""

    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("images", "accuracy"))
            writer.writerows((int(images), share) for images, share in classifier.accuracy_history_)

    write_atomically(file, write)


def _draw(classifier: Classifier, evaluation: STDPEvaluation, folder: Path) -> list[Path]:
    paths = [
        pictures.save(viz.receptive_fields(classifier), folder / "receptive_fields.png"),
        pictures.save(viz.confusion(evaluation), folder / "confusion.png"),
    ]
    if isinstance(classifier, STDPClassifier):
        paths += [
            pictures.save(viz.assignments(classifier), folder / "assignments.png"),
            pictures.save(viz.thresholds(classifier), folder / "thresholds.png"),
            pictures.save(viz.running_accuracy(classifier), folder / "running_accuracy.png"),
        ]
    return paths


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


def _tell(evaluation: STDPEvaluation, classifier: Classifier) -> None:
    error = (evaluation.accuracy * (1 - evaluation.accuracy) / evaluation.samples) ** 0.5
    votes = ", ".join(f"{name} {share:.2%}" for name, share in evaluation.votes.items())
    lines = [
        f"test accuracy     {coloured(f'{evaluation.accuracy:.2%}', 'bold', sys.stdout)} of "
        f"{evaluation.samples:,} images, "
        f"standard error {error:.2%}"
    ]
    if isinstance(classifier, ConvSTDPClassifier):
        lines += [
            f"spikes per image  {evaluation.spikes_per_image:.1f}, at most one of each feature in "
            "each pooling cell"
        ]
    else:
        lines += [
            f"by vote           {votes}",
            f"spikes per image  {evaluation.spikes_per_image:.1f}; "
            f"silent for {evaluation.silent:.1%} of the images",
            f"learned with      --theta-plus {classifier.theta_plus_:.3g}, "
            f"learning rate {classifier.learning_rate_:.3g}",
        ]
    print("\n".join(lines))

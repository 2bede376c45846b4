"""``spikemnist stdp``."""

from __future__ import annotations

import csv
import time
from typing import TYPE_CHECKING, Any

from spikemnist import viz
from spikemnist._atomic import write_atomically
from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, request
from spikemnist.cli.options import Stdp
from spikemnist.cli.wording import command_line, count, written
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from spikemnist.plasticity.checks import check_convolution, check_parameters

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.options import Evaluate
    from spikemnist.plasticity import STDPEvaluation

    Classifier = STDPClassifier | ConvSTDPClassifier

OF_NEURONS = ("neurons", "passes", "theta_plus", "voting")
"""Options that mean nothing to convolutional features."""


def run(command: Stdp) -> int:
    """Learn, test, draw and tell."""
    started = time.perf_counter()
    with request():
        if command.data == "nmnist":
            raise ValueError("--data nmnist has no images: choose digits, mnist or fashion_mnist")
        classifier = _classifier(command)
    if command.resume:
        runs.check_resumed(command)
    else:
        sources.check_root(command.data, command.root)
    train, test = _images(command.data, command.root)
    files = [runs.MODEL, runs.CONFIG]
    with runs.run_folder(command) as folder:
        if isinstance(classifier, ConvSTDPClassifier):
            classifier.fit(*train)
        else:
            checkpoint = folder / runs.STDP_CHECKPOINT
            resume = command.resume and checkpoint.exists()
            classifier.fit(*train, checkpoint=checkpoint, resume=resume)
            _write_metrics(classifier, folder / runs.METRICS)
            if classifier.interrupted_:
                return _tell_how_to_continue(classifier, command.passes * len(train[0]), folder)
            files += [runs.METRICS, runs.STDP_CHECKPOINT]
        classifier.save(folder / runs.MODEL)
    learned = time.perf_counter() - started
    figures = classifier.evaluate(*test)
    drawn = _draw(classifier, figures, folder)
    _tell(figures)
    print(
        f"time              {learned:.1f} s of learning and assigning, "
        f"{time.perf_counter() - started:.1f} s in all\n"
        f"{written(folder, files, drawn)}"
        f"try next          {command_line('spikemnist', 'evaluate', folder)}"
    )
    return 0


def evaluate(command: Evaluate) -> int:
    """Test what a run of ``spikemnist stdp`` has learned."""
    with request():
        if command.energy or command.backend or command.device not in ("auto", "cpu"):
            raise ValueError(
                f"{command.run} is a run of `spikemnist stdp`: it takes no --energy, --backend or "
                "--device"
            )
    stored = runs.read_config(command.run, Stdp)
    root = command.root if command.data or command.root else stored["root"]
    _, test = _images(command.data or stored["data"], root)
    kind = STDPClassifier if stored["features"] is None else ConvSTDPClassifier
    _tell(kind.load(command.run / runs.MODEL).evaluate(*test))
    return 0


def _classifier(command: Stdp) -> Classifier:
    """Return what is to learn.

    Raises
    ------
    ValueError
        For options that cannot be used, alone or together.
    """
    if command.features is None:
        classifier = STDPClassifier(
            command.neurons,
            passes=command.passes,
            theta_plus=command.theta_plus,
            voting=command.voting,
            random_state=command.seed,
        )
        check_parameters(classifier)
        return classifier
    usual = Stdp()
    for name in OF_NEURONS:
        if getattr(command, name) != getattr(usual, name):
            raise ValueError(
                f"--{name.replace('_', '-')} is of neurons that see whole images: leave it out "
                "with --features"
            )
    features = ConvSTDPClassifier(command.features, random_state=command.seed)
    check_convolution(features)
    return features


def _tell_how_to_continue(classifier: STDPClassifier, images: int, folder: Path) -> int:
    print(
        f"interrupted after {classifier.n_images_seen_:,} of {count(images, 'image')}, which are "
        "saved\ncontinue with  " + command_line("spikemnist", "stdp", "--resume", "--out", folder)
    )
    return INTERRUPTED


def _images(data: str, root: Path | None) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    train, test = sources.load(data, root)
    return (train.images, train.labels), (test.images, test.labels)  # type: ignore[union-attr]


def _write_metrics(classifier: STDPClassifier, file: Path) -> None:
    def write(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("images", "accuracy"))
            writer.writerows((int(seen), share) for seen, share in classifier.accuracy_history_)

    write_atomically(file, write)


def _draw(classifier: Classifier, figures: STDPEvaluation, folder: Path) -> list[Path]:
    drawn = [
        pictures.save(viz.receptive_fields(classifier), folder / "receptive_fields.png"),
        pictures.save(viz.confusion(figures), folder / "confusion.png"),
    ]
    if isinstance(classifier, STDPClassifier):
        drawn += [
            pictures.save(viz.assignments(classifier), folder / "assignments.png"),
            pictures.save(viz.thresholds(classifier), folder / "thresholds.png"),
            pictures.save(viz.running_accuracy(classifier), folder / "running_accuracy.png"),
        ]
    return drawn


def _tell(figures: STDPEvaluation) -> None:
    error = (figures.accuracy * (1 - figures.accuracy) / figures.samples) ** 0.5
    votes = ", ".join(f"{name} {share:.2%}" for name, share in figures.votes.items())
    lines = [
        f"test accuracy     {figures.accuracy:.2%} of {figures.samples:,} images, "
        f"standard error {error:.2%}"
    ]
    if "readout" in figures.votes:
        lines += [f"features appear   in {figures.spikes_per_image:.1f} cells of an image"]
    else:
        lines += [
            f"by vote           {votes}",
            f"spikes per image  {figures.spikes_per_image:.1f}; "
            f"silent for {figures.silent:.1%} of the images",
        ]
    print("\n".join(lines))

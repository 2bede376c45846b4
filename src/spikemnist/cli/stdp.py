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
from spikemnist.plasticity import STDPClassifier
from spikemnist.plasticity.checks import check_parameters

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.options import Evaluate
    from spikemnist.plasticity import STDPEvaluation


def run(command: Stdp) -> int:
    """Learn, test, draw and tell."""
    started = time.perf_counter()
    with request():
        if command.data == "nmnist":
            raise ValueError("--data nmnist has no images: choose digits, mnist or fashion_mnist")
        classifier = STDPClassifier(
            command.neurons,
            passes=command.passes,
            theta_plus=command.theta_plus,
            voting=command.voting,
            random_state=command.seed,
        )
        check_parameters(classifier)
        folder = runs.check_resumed(command) if command.resume else None
    train, test = _images(command.data, command.root)
    folder = folder or runs.new_run(command)
    checkpoint = folder / runs.STDP_CHECKPOINT
    classifier.fit(*train, checkpoint=checkpoint, resume=checkpoint.exists())
    _write_metrics(classifier, folder / runs.METRICS)
    if classifier.interrupted_:
        print(
            f"interrupted after {classifier.n_images_seen_:,} of "
            f"{command.passes * len(train[0]):,} images, which are saved\n"
            f"continue with  spikemnist stdp --resume --out {folder}"
        )
        return INTERRUPTED
    classifier.save(folder / runs.MODEL)
    learned = time.perf_counter() - started
    figures = classifier.evaluate(*test)
    number = len(_draw(classifier, figures, folder))
    _tell(figures)
    print(
        f"time              {learned:.1f} s of learning and assigning, "
        f"{time.perf_counter() - started:.1f} s in all\n"
        f"written to        {folder}: {runs.MODEL}, {runs.METRICS}, {runs.CONFIG}, "
        f"{runs.STDP_CHECKPOINT}, {number} pictures\n"
        f"next              spikemnist evaluate {folder}"
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
    _tell(STDPClassifier.load(command.run / runs.MODEL).evaluate(*test))
    return 0


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


def _draw(classifier: STDPClassifier, figures: STDPEvaluation, folder: Path) -> list[Path]:
    return [
        pictures.save(viz.receptive_fields(classifier), folder / "receptive_fields.png"),
        pictures.save(viz.assignments(classifier), folder / "assignments.png"),
        pictures.save(viz.thresholds(classifier), folder / "thresholds.png"),
        pictures.save(viz.running_accuracy(classifier), folder / "running_accuracy.png"),
        pictures.save(viz.confusion(figures), folder / "confusion.png"),
    ]


def _tell(figures: STDPEvaluation) -> None:
    error = (figures.accuracy * (1 - figures.accuracy) / figures.samples) ** 0.5
    votes = ", ".join(f"{name} {share:.2%}" for name, share in figures.votes.items())
    print(
        f"test accuracy     {figures.accuracy:.2%} of {figures.samples:,} images, "
        f"standard error {error:.2%}\n"
        f"by vote           {votes}\n"
        f"spikes per image  {figures.spikes_per_image:.1f}; "
        f"silent for {figures.silent:.1%} of the images"
    )

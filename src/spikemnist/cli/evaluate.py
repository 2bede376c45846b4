"""``spikemnist evaluate``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from spikemnist import viz
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.energy_table import summary, table
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.cli.options import TRAINED
from spikemnist.cli.output import coloured, show_detail, show_json
from spikemnist.energy import measure_energy
from spikemnist.models import Classifier
from spikemnist.ops import select_backend
from spikemnist.training import evaluate, measure_robustness, select_device

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.classifiers import ClassifierSource
    from spikemnist.cli.options import Evaluate
    from spikemnist.training import Evaluation, Robustness

OF_NETWORKS = ("backend", "device", "energy", "technology", "memory", "robustness")
"""Options that need a network."""


def run(command: Evaluate) -> int:
    """Test each model on the test set of its run, or on another one."""
    _check(command)
    models = {path: classifiers.find(path) for path in command.runs}
    for path, source in models.items():
        classifiers.check_options(command, path, source, *OF_NETWORKS)
    results: dict[str, Robustness] = {}
    picture = (command.out or pictures.unused("robustness.png")) if command.robustness else None
    for number, (path, source) in enumerate(models.items()):
        if len(models) > 1 and not command.json:
            print("\n" * (number > 0) + str(path))
        if (robustness := _evaluate(command, path, source, picture)) is not None:
            results[str(path)] = robustness
    if picture is not None:
        pictures.save(viz.robustness(results), picture)
        if not command.json:
            print(f"\nwritten           {picture}")
    return 0


def _check(command: Evaluate) -> None:
    if not command.runs:
        raise WrongRequest(f"spikemnist evaluate needs RUN: {TRAINED}")
    if not command.energy and (command.memory or command.technology != "45nm-fp32"):
        raise WrongRequest("--technology and --memory need --energy")
    if command.out is not None and not command.robustness:
        raise WrongRequest("--out names the picture of --robustness; add it, or remove --out")
    if command.out is not None:
        pictures.check_format(command.out)
    with request("--device"):
        select_device(command.device)
    if command.backend is not None:
        with request("--backend"):
            select_backend(command.backend)


def _evaluate(
    command: Evaluate, run: Path, source: ClassifierSource, picture: Path | None
) -> Robustness | None:
    """Test a classifier, print the results, and return its robustness if requested."""
    classifier, options, _ = source
    data, test = sources.test_set(command, options)
    if command.robustness and data == "nmnist":
        raise WrongRequest(
            "--robustness needs images, but nmnist has recordings; remove it, or choose another "
            "--data"
        )
    common: dict[str, Any] = {
        "device": select_device(command.device),
        "seed": command.seed,
    }
    show_detail(command, classifier, f"device {common['device']}")
    if isinstance(classifier, Classifier) and command.backend is not None:
        classifier.network.backend = command.backend  # type: ignore[assignment]
    evaluation = evaluate(classifier, test, batch_size=command.batch_size, **common)
    if not command.json:
        show_evaluation(evaluation, data)
    energy = robustness = None
    if command.energy and isinstance(classifier, Classifier):
        costs: dict[str, Any] = {"technology": command.technology, "memory": command.memory}
        energy = measure_energy(classifier, test, **costs, **common)
        if not command.json:
            print(f"\n{table(energy, sources.noun(data))}")
    if command.robustness and isinstance(classifier, Classifier):
        robustness = measure_robustness(classifier, test, batch_size=command.batch_size, **common)
        if not command.json:
            print(f"\n{_accuracies(robustness)}", flush=True)
    if command.json:
        more: dict[str, object] = {} if energy is None else {"energy": summary(energy)}
        if robustness is not None:
            more |= {"robustness": robustness.accuracy, "picture": picture}
        more |= {"standard_error": evaluation.standard_error}
        show_json(run=run, data=data, **vars(evaluation), **more)
    return robustness


def show_evaluation(evaluation: Evaluation, data: str) -> None:
    """Print the metrics of a classifier on the test set of ``data``."""
    noun = sources.noun(data)
    accuracy = coloured(f"{evaluation.accuracy:.2%}", "bold", sys.stdout)
    rows = {
        "accuracy": f"{accuracy} of {evaluation.samples:,} test {noun}s of {data}, standard error "
        f"{evaluation.standard_error:.2%}",
        "by vote": ", ".join(f"{name} {share:.2%}" for name, share in evaluation.votes.items()),
        "loss": f"{evaluation.loss:.4f}" if len(evaluation.accuracy_per_step) else "",
        f"spikes per {noun}": ", ".join(
            f"{name} {number:.1f}" for name, number in evaluation.spikes_per_sample.items()
        ),
        "silent, tied": f"{evaluation.silent:.2%}, {evaluation.tied:.2%} of the {noun}s",
        "after each step": " ".join(
            f"{accuracy:.1%}" for accuracy in evaluation.accuracy_per_step.tolist()
        ),
        "time": f"{evaluation.seconds:.2f} s, backend {evaluation.backend}",
    }
    print("\n".join(f"{name:<17} {text}" for name, text in rows.items() if text), flush=True)


def _accuracies(robustness: Robustness) -> str:
    """Return two rows per disturbance: levels above accuracies."""
    rows = []
    for name, accuracy in robustness.accuracy.items():
        shares = "".join(f"{share:>9.2%}" for share in accuracy.values())
        rows.append(f"{name:<18}" + "".join(f"{level:>9g}" for level in accuracy))
        rows.append(f"{'  accuracy':<18}{shares}")
    return "\n".join(rows)

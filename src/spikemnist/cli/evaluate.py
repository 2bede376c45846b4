"""``spikemnist evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikemnist import viz
from spikemnist.cli import networks, pictures, runs, sources, stdp
from spikemnist.cli.energy_table import summary, table
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.cli.options import TRAINED
from spikemnist.cli.output import show_detail, show_json
from spikemnist.energy import measure_energy
from spikemnist.models import SpikingNetwork
from spikemnist.ops import select_backend
from spikemnist.training import evaluate, measure_robustness, select_device

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.options import Evaluate
    from spikemnist.training import Evaluation, Robustness


def run(command: Evaluate) -> int:
    """Test each model on the test set of its run, or on another one."""
    _check(command)
    results: dict[str, Robustness] = {}
    picture = (command.out or pictures.unused("robustness.png")) if command.robustness else None
    for number, path in enumerate(command.runs):
        if len(command.runs) > 1 and not command.json:
            print("\n" * (number > 0) + str(path))
        if runs.is_stdp(path):
            stdp.evaluate(command, path)
        elif (robustness := _evaluate(command, path, picture)) is not None:
            results[str(path)] = robustness
    if picture is not None:
        pictures.save(viz.robustness(results), picture)
        if not command.json:
            print(f"\nwritten           {picture}")
    return 0


def _check(command: Evaluate) -> None:
    if not command.runs:
        raise WrongRequest(f"spikemnist evaluate needs RUN: {TRAINED}")
    for path in command.runs:
        if runs.is_stdp(path):
            stdp.check(command, path)
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


def _evaluate(command: Evaluate, run: Path, picture: Path | None) -> Robustness | None:
    """Test a network, print the results, and return its robustness if requested."""
    classifier, options, _ = networks.find(run)
    data, test = sources.test_set(command, options)
    if command.robustness and data == "nmnist":
        raise WrongRequest(
            "--robustness needs images, but nmnist has recordings; remove it, or choose another "
            "--data"
        )
    if command.backend is not None:
        assert isinstance(classifier.network, SpikingNetwork)  # of a file of `train`
        classifier.network.backend = command.backend
    common: dict[str, Any] = {
        "device": select_device(command.device),
        "seed": command.seed,
    }
    show_detail(command, classifier.network, classifier.encoder, f"device {common['device']}")
    evaluation = evaluate(classifier, test, batch_size=command.batch_size, **common)
    if not command.json:
        _tell(data, evaluation)
    energy = robustness = None
    if command.energy:
        costs: dict[str, Any] = {"technology": command.technology, "memory": command.memory}
        energy = measure_energy(classifier, test, **costs, **common)
        if not command.json:
            print(f"\n{table(energy, sources.noun(data))}")
    if command.robustness:
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


def _tell(data: str, evaluation: Evaluation) -> None:
    noun = sources.noun(data)
    spikes = ", ".join(f"{name} {n:.1f}" for name, n in evaluation.spikes_per_sample.items())
    per_step = " ".join(f"{accuracy:.1%}" for accuracy in evaluation.accuracy_per_step.tolist())
    print(
        f"accuracy          {evaluation.accuracy:.2%} of {evaluation.samples:,} test {noun}s of "
        f"{data}, standard error {evaluation.standard_error:.2%}\n"
        f"loss              {evaluation.loss:.4f}\n"
        f"{'spikes per ' + noun:<17} {spikes}\n"
        f"silent, tied      {evaluation.silent:.2%}, {evaluation.tied:.2%} of the {noun}s\n"
        f"after each step   {per_step}\n"
        f"time              {evaluation.seconds:.2f} s, backend {evaluation.backend}",
        flush=True,
    )


def _accuracies(robustness: Robustness) -> str:
    """Return two rows per disturbance: levels above accuracies."""
    rows = []
    for name, accuracy in robustness.accuracy.items():
        shares = "".join(f"{share:>9.2%}" for share in accuracy.values())
        rows.append(f"{name:<18}" + "".join(f"{level:>9g}" for level in accuracy))
        rows.append(f"{'  accuracy':<18}{shares}")
    return "\n".join(rows)

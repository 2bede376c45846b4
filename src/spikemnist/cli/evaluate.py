"""``spikemnist evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import spikemnist
from spikemnist._names import Backend, MemoryName, TechnologyName
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.errors import WrongRequest, refuse, request
from spikemnist.cli.output import Block, say, show, show_detail
from spikemnist.cli.parser import Command, Options, whole

SUMMARY = "Test trained networks and STDP classifiers."
EXAMPLES = """
spikemnist evaluate mnist-mlp
spikemnist evaluate runs/a runs/b --data mnist --robustness
spikemnist evaluate mnist-sparse --energy --memory 8KB
spikemnist evaluate runs/a --json
"""

OF_NETWORKS = (
    "batch_size", "device", "backend", "seed",
    "energy", "technology", "memory", "robustness",
)  # fmt: skip
"""Options that need a network."""


def add_options(add: Options) -> None:
    """Add the options."""
    classifiers.add_argument(add, several=True)
    sources.add_options(add, absent="as in training, else digits")
    add("--batch-size", "samples in a step", 256, kind=whole(1), value="N")
    add.shared("--device", "--seed")
    text = "backend that runs the timesteps"
    add("--backend", text, names=get_args(Backend), absent="as in the model")
    add.group("energy")
    text = "also count operations, and estimate the energy in comparison with an ANN"
    add("--energy", text, False)
    names = get_args(TechnologyName)
    add("--technology", "cost of an operation, for --energy", names[0], names=names)
    text = "memory whose accesses are counted, for --energy"
    add("--memory", text, names=get_args(MemoryName), absent="not counted")
    add.group("robustness")
    text = (
        "also measure the accuracy under noise, shift, rotation and dropped spikes, and draw all "
        "networks in one picture"
    )
    add("--robustness", text, False)
    text = "picture (png, pdf, svg), for --robustness; an existing one is replaced"
    add("--out", text, kind=Path, value="FILE", absent="robustness.png, or the next free name")


def check(command: Command) -> None:
    """Refuse options that do not fit each other."""
    if not command.energy:
        refuse(command, "technology", "memory", because="without --energy")
    if not command.robustness:
        refuse(command, "out", because="without --robustness")
    pictures.check_format(command.out)


def run(command: Command) -> int:
    """Test each model on the test set of its run, or on another one."""
    with request(command):
        spikemnist.training.select_device(command.device)
        spikemnist.ops.select_backend(command.backend or "auto")
    models = {path: classifiers.find(path) for path in command.runs}
    for path, (classifier, _) in models.items():
        classifiers.check_options(command, path, classifier, *OF_NETWORKS)
    out = command.out or pictures.unused("robustness.png")
    results: dict[str, spikemnist.training.Robustness] = {}
    for number, (path, (classifier, trained)) in enumerate(models.items()):
        if number:
            say(command, "")
        data, test = sources.test_set(command, trained)
        if command.robustness and data == "nmnist":
            raise WrongRequest("--robustness needs images, but nmnist has recordings")
        fields = {"run": path, "data": data, **_evaluate(command, classifier, test)}
        if command.robustness:
            results[str(path)] = fields["robustness"]
            fields |= {"picture": out} if command.json else {}
        show(command, **fields)
    if command.robustness:
        pictures.save(spikemnist.viz.robustness(results), out)
        say(command, "", f"written           {out}")
    return 0


def _evaluate(command: Command, classifier: Any, test: sources.Dataset) -> dict[str, Any]:
    """Test a classifier, and return its results and what else is requested."""
    options: dict[str, Any] = {"device": command.device, "seed": command.seed}
    show_detail(command, classifier)
    if isinstance(classifier, spikemnist.Classifier) and command.backend is not None:
        classifier.network.backend = command.backend
    evaluation = spikemnist.evaluate(classifier, test, batch_size=command.batch_size, **options)
    fields: dict[str, Any] = {"test": evaluation}
    if command.energy:
        costs = {name: getattr(command, name) for name in ("technology", "memory")}
        energy = spikemnist.measure_energy(classifier, test, **costs, **options)
        fields["energy"] = Block(energy.report(), energy.to_json())
    if command.robustness:
        fields["robustness"] = spikemnist.training.measure_robustness(
            classifier, test, batch_size=command.batch_size, **options
        )
    return fields

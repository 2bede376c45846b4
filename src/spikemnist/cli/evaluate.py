"""``spikemnist evaluate``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spikemnist.cli import runs, sources, stdp
from spikemnist.cli.energy_table import table
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.encoding import get_encoder
from spikemnist.energy import measure_energy
from spikemnist.models import load_model, model_metadata
from spikemnist.ops import select_backend
from spikemnist.training import evaluate, select_device

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.options import Evaluate
    from spikemnist.encoding import Encoder
    from spikemnist.models.files import Model
    from spikemnist.training import Evaluation


def run(command: Evaluate) -> int:
    """Test a model on the test set of its run, or on another one."""
    if runs.is_stdp(command.run):
        return stdp.evaluate(command)
    if not command.energy and (command.memory or command.technology != "45nm-fp32"):
        raise WrongRequest("--technology and --memory need --energy")
    with request("--device"):
        device = select_device(command.device)
    if command.backend is not None:
        with request("--backend"):
            select_backend(command.backend)
    file = model_file(command.run)
    stored = runs.read_config(command.run) if command.run.is_dir() else {}
    data, test = sources.test_set(command, stored)
    model, encoder = load(file)
    if command.backend is not None:
        model.backend = command.backend
    figures = evaluate(
        model,
        test,
        encoder=encoder,
        batch_size=command.batch_size,
        device=device,
        seed=command.seed,
    )
    _tell(data, figures)
    if command.energy:
        energy = measure_energy(
            model,
            test,
            encoder=encoder,
            technology=command.technology,
            memory=command.memory,
            device=device,
            seed=command.seed,
        )
        print(f"\n{table(energy, sources.noun(data))}")
    return 0


def model_file(run: Path) -> Path:
    """Return the model file of a run folder, or the file itself.

    Raises
    ------
    WrongRequest
        When there is none.
    """
    file = run / runs.MODEL if run.is_dir() else run
    if not file.is_file():
        raise WrongRequest(f"no model at {file}: give a run folder or a model file")
    return file


def load(file: Path) -> tuple[Model, Encoder]:
    """Return a stored model and the encoder that it was trained with."""
    stored = model_metadata(file)["encoder"]
    if stored is None:
        raise ValueError(f"{file} does not say which encoder the model was trained with")
    try:
        encoder = get_encoder(**stored)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} names an encoder that cannot be made: {error}") from error
    return load_model(file), encoder


def _tell(data: str, figures: Evaluation) -> None:
    noun = sources.noun(data)
    error = math.sqrt(figures.accuracy * (1 - figures.accuracy) / figures.samples)
    spikes = ", ".join(f"{name} {n:.1f}" for name, n in figures.spikes_per_sample.items())
    per_step = " ".join(f"{accuracy:.1%}" for accuracy in figures.accuracy_per_step.tolist())
    print(
        f"accuracy          {figures.accuracy:.2%} of {figures.samples:,} test {noun}s of {data}, "
        f"standard error {error:.2%}\n"
        f"loss              {figures.loss:.4f}\n"
        f"{'spikes per ' + noun:<17} {spikes}\n"
        f"silent, tied      {figures.silent:.2%}, {figures.tied:.2%} of the {noun}s\n"
        f"after each step   {per_step}\n"
        f"time              {figures.seconds:.2f} s, backend {figures.backend}"
    )

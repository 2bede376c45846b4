"""``spikemnist train``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import torch

from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, request
from spikemnist.data import DropEvents, EventDataset
from spikemnist.encoding import describe_encoder, get_encoder
from spikemnist.models import LeakyConvNet, LeakyMLP, save_model
from spikemnist.ops import select_backend
from spikemnist.training import Evaluation, csv_logger, evaluate, fit, select_device
from spikemnist.training.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.options import Train
    from spikemnist.cli.sources import Dataset
    from spikemnist.encoding import Encoder
    from spikemnist.models.files import Model
    from spikemnist.training import History

SCHEDULE = "one_cycle"

BINARY = ("burst", "delta", "events", "latency", "phase", "population", "rank_order", "rate")
"""Encoders of zeros and ones alone, which a byte holds as well as a float."""


def run(command: Train) -> int:
    """Train, test, draw and tell."""
    started = time.perf_counter()
    with request():
        Settings(  # complains of numbers out of range, before anything is begun
            epochs=command.epochs,
            batch_size=command.batch_size,
            lr=command.lr,
            seed=command.seed,
        )
        _check_data(command)
        compact = {"dtype": torch.uint8} if command.encoder in BINARY else {}
        encoder = get_encoder(command.encoder, num_steps=command.num_steps, **compact)
        model = _model(command, encoder)
        device = select_device(command.device)
        folder = runs.check_resumed(command) if command.resume else None
    train, test = _data(command)
    folder = folder or runs.new_run(command)
    history = _fit(command, model, train, encoder, device, folder)
    if history.interrupted:
        print(
            f"interrupted after {len(history)} of {command.epochs} epochs, which are saved\n"
            f"continue with  spikemnist train --resume --out {folder}"
        )
        return INTERRUPTED
    save_model(model, folder / runs.MODEL, encoder=describe_encoder(encoder))
    figures = evaluate(model, test, encoder=encoder, device=device, seed=command.seed)
    shown = pictures.Shown(*sources.sample(test, 0), 0)
    written = pictures.draw_training(folder, model, encoder, shown, history, figures)
    _tell(command, folder, history, figures, len(written), time.perf_counter() - started)
    return 0


def _fit(
    command: Train,
    model: Model,
    train: Dataset,
    encoder: Encoder,
    device: torch.device,
    folder: Path,
) -> History:
    saved = (folder / runs.CHECKPOINT).exists()
    log = csv_logger(folder / runs.METRICS)
    if command.resume and not saved:
        print(f"no checkpoint in {folder} yet: starting at the first epoch", file=sys.stderr)
    history = fit(
        model,
        train,
        encoder=encoder,
        epochs=command.epochs,
        batch_size=command.batch_size,
        lr=command.lr,
        schedule=SCHEDULE,
        device=device,
        seed=command.seed,
        callbacks=[log],
        checkpoint=folder / runs.CHECKPOINT,
        resume=saved,
    )
    log(history, model)
    return history


def _data(command: Train) -> tuple[Dataset, Dataset]:
    events = {"first_saccade": command.first_saccade, "stabilize": command.stabilize}
    train, test = sources.load(command.data, command.root, **events)
    if command.drop_events and isinstance(train, EventDataset):
        train = train.transformed(DropEvents(command.drop_events))
    return train, test


def _check_data(command: Train) -> None:
    """Complain of options that have nothing to do with the data."""
    DropEvents(command.drop_events)
    given = command.first_saccade or command.stabilize or command.drop_events
    if given and command.data != "nmnist":
        raise ValueError("--first-saccade, --stabilize and --drop-events need --data nmnist")


def _model(command: Train, encoder: Encoder) -> Model:
    backend: Any = command.backend
    select_backend(backend)
    # A code may have several neurons for a pixel.
    shape = encoder(sources.blank(command.data)).shape[2:]
    picture = (1, *shape) if shape == sources.IMAGE else tuple(shape)
    with torch.random.fork_rng([]):
        torch.manual_seed(command.seed)
        if command.model == "mlp":
            return LeakyMLP(shape.numel(), command.hidden, backend=backend)
        if shape != sources.IMAGE and command.data != "nmnist":
            raise ValueError(
                f"--model conv needs a picture at each timestep, and --encoder {command.encoder} "
                f"makes {tuple(shape)} of an image: choose another code, or --model mlp"
            )
        return LeakyConvNet(
            command.layers,
            picture,
            batch_norm=command.batch_norm,
            backend=backend,
        )


def _tell(
    command: Train,
    folder: Path,
    history: History,
    figures: Evaluation,
    num_pictures: int,
    seconds: float,
) -> None:
    spikes = ", ".join(f"{name} {n:.0f}" for name, n in figures.spikes_per_sample.items())
    more = " --data mnist" if command.data == "digits" else f" --data {command.data} --epochs 40"
    noun = sources.noun(command.data)
    print(
        f"test accuracy     {figures.accuracy:.2%} of {figures.samples:,} {noun}s, "
        f"after the last of {len(history)} epochs\n"
        f"{'spikes per ' + noun:<17} {spikes}\n"
        f"time              {sum(history.seconds):.1f} s of training, {seconds:.1f} s in all; "
        f"backend {figures.backend}\n"
        f"written to        {folder}: {runs.MODEL}, {runs.METRICS}, {runs.CONFIG}, "
        f"{runs.CHECKPOINT}, {num_pictures} pictures\n"
        f"try next          spikemnist plot {folder}\n"
        f"                  spikemnist train{more}"
    )

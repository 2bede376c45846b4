"""``spikemnist train``."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from spikemnist.cli import pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, WrongRequest, request
from spikemnist.cli.limits import values_of
from spikemnist.cli.options import RecordingOptions
from spikemnist.cli.output import coloured, show_detail, show_json
from spikemnist.cli.wording import command_line, count, file_lines, to_continue
from spikemnist.data import DropEvents, EventDataset
from spikemnist.data.mnist import FASHION_MNIST
from spikemnist.encoding import get_encoder
from spikemnist.models import NetworkOptions
from spikemnist.ops import select_backend
from spikemnist.training import (
    Evaluation,
    Recipe,
    TrainConfig,
    csv_logger,
    evaluate,
    fit,
    select_device,
)
from spikemnist.training.processes import joined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spikemnist.cli.options import Train
    from spikemnist.cli.sources import Dataset
    from spikemnist.models import Classifier
    from spikemnist.training import History
    from spikemnist.training.callbacks import Callback
    from spikemnist.training.processes import Processes


def run(command: Train) -> int:
    """Train, test, draw and print the results."""
    start = time.perf_counter()
    _check(command)
    with request():
        recipe = _recipe(command)
        select_backend(command.backend)
    with request("--encoder"):
        get_encoder(command.encoder, num_steps=command.num_steps)(sources.blank(command.data))
    with request("--layers" if command.model == "conv" else ""):
        classes = FASHION_MNIST.classes if command.data == "fashion_mnist" else ()
        classifier = recipe.classifier(command.seed, classes=classes)
    with request("--device"):
        device = select_device(command.device)
    if command.resume:
        runs.check_same_options(command)
    train, test = _data(command)
    show_detail(command, classifier.network, f"{len(train):,} training images, device {device}")
    with joined() as processes:
        with _folder(command, processes) as folder:
            history = _fit(command, classifier, train, recipe.config, folder, processes)
        if not processes.is_first:
            return INTERRUPTED if history.interrupted else 0
        evaluation = None
        if not history.interrupted:
            evaluation = evaluate(classifier, test, device=history.device, seed=command.seed)
    if evaluation is None:
        _tell_interrupted(command, folder, history)
        return INTERRUPTED
    classifier.save(folder / runs.MODEL)
    sample = sources.sample(test, 0)
    drawings = pictures.draw_training(folder, classifier, sample, history, evaluation)
    _tell(command, folder, history, evaluation, drawings, time.perf_counter() - start)
    return 0


@contextlib.contextmanager
def _folder(command: Train, processes: Processes) -> Iterator[Path]:
    """Yield, in each process, the run folder that the first process makes."""
    with contextlib.ExitStack() as stack:
        yield processes.first(lambda: stack.enter_context(runs.run_folder(command)))


def _fit(
    command: Train,
    classifier: Classifier,
    train: Dataset,
    config: TrainConfig,
    folder: Path,
    processes: Processes,
) -> History:
    has_checkpoint = (folder / runs.CHECKPOINT).exists()
    log = csv_logger(folder / runs.METRICS)
    callbacks = [log, _line_of(command)] if processes.is_first else []
    if command.resume and not has_checkpoint and processes.is_first:
        print(f"no checkpoint in {folder} yet: starting at the first epoch", file=sys.stderr)
    history = fit(
        classifier,
        train,
        config,
        validation=command.learning.validation,
        device=command.device,
        callbacks=callbacks,
        checkpoint=folder / runs.CHECKPOINT,
        resume=command.resume and has_checkpoint,
    )
    if processes.is_first:
        log(history, classifier)
    return history


def _line_of(command: Train) -> Callback:
    """Return a callback that writes a line for each epoch, above the bar if there is one."""

    def write(history: History, classifier: Classifier) -> None:
        row, epochs = history.epochs[-1], str(command.epochs)
        validation = row.validation_accuracy
        tqdm.write(
            f"epoch {row.epoch:{len(epochs)}}/{epochs}  loss {row.loss:.4f}  "
            f"accuracy {row.accuracy:7.2%}  "
            f"{'' if validation is None else f'validation {validation:7.2%}  '}"
            f"spikes {row.spikes_per_sample:,.0f}  {history.seconds[-1]:.1f} s",
            file=sys.stderr,
        )
        sys.stderr.flush()

    return (lambda *_: None) if command.quiet else write


def _data(command: Train) -> tuple[Dataset, Dataset]:
    events = command.recordings
    changes = {"first_saccade": events.first_saccade, "stabilize": events.stabilize}
    train, test = sources.load(command.data, command.root, **changes)
    if events.drop_events and isinstance(train, EventDataset):
        train = train.transformed(DropEvents(events.drop_events))
    return train, test


def _check(command: Train) -> None:
    """Refuse options that do not fit the data or each other."""
    learning = command.learning
    if command.recordings != RecordingOptions() and command.data != "nmnist":
        raise WrongRequest("--first-saccade, --stabilize and --drop-events need --data nmnist")
    if learning.augment and command.data == "nmnist":
        raise WrongRequest("--augment changes images; recordings of nmnist have --drop-events")
    if learning.label_smoothing and learning.loss != "cross_entropy":
        raise WrongRequest(f"--label-smoothing needs --loss cross_entropy; got {learning.loss}")
    if learning.patience and not learning.validation:
        raise WrongRequest("--patience needs --validation, for example --validation 0.1")
    if not command.resume:
        sources.check_root(command.data, command.root)


def _recipe(command: Train) -> Recipe:
    """Return the network, the code and the settings of a command."""
    values = values_of(command)
    of_model = {"mlp": "hidden", "conv": "layers"}[command.model]
    shared = {field.name: values[field.name] for field in fields(NetworkOptions)}
    settings = [field.name for field in fields(TrainConfig) if field.name in values]
    return Recipe(
        network=command.model,
        options={of_model: values[of_model], **shared},
        encoder=command.encoder,
        num_steps=command.num_steps,
        config=TrainConfig(**{name: values[name] for name in settings}),
    )


def _tell_interrupted(command: Train, folder: Path, history: History) -> None:
    if command.json:
        show_json(**_done(folder, history))
        return
    epochs = count(command.epochs, "epoch")
    print(to_continue("train", folder, f"{len(history)} of {epochs}"))


def _done(folder: Path, history: History) -> dict[str, Any]:
    """Return the facts of a training, finished or interrupted, for ``--json``."""
    return {
        "run": folder,
        "interrupted": history.interrupted,
        "best_epoch": history.best_epoch,
        "epochs": history.epochs,
        "epoch_seconds": history.seconds,
    }


def _which(history: History) -> str:
    best = history.best_epoch
    return "after the last" if best is None else f"after epoch {best}, the best by validation,"


def _tell(
    command: Train,
    folder: Path,
    history: History,
    evaluation: Evaluation,
    drawings: list[Path],
    seconds: float,
) -> None:
    files = (runs.MODEL, runs.METRICS, runs.CONFIG, runs.CHECKPOINT)
    if command.json:
        paths = [folder / name for name in files] + drawings
        test = {**vars(evaluation), "standard_error": evaluation.standard_error}
        show_json(**_done(folder, history), test=test, seconds=seconds, files=paths)
        return
    spikes = ", ".join(f"{name} {n:.0f}" for name, n in evaluation.spikes_per_sample.items())
    noun = sources.noun(command.data)
    accuracy = coloured(f"{evaluation.accuracy:.2%}", "bold", sys.stdout)
    print(
        f"test accuracy     {accuracy} of {count(evaluation.samples, noun)}, "
        f"standard error {evaluation.standard_error:.2%}\n"
        f"weights           {_which(history)} of {count(len(history), 'epoch')}\n"
        f"{'spikes per ' + noun:<17} {spikes}\n"
        f"time              {sum(history.seconds):.1f} s of training, {seconds:.1f} s in all; "
        f"backend {evaluation.backend}\n"
        f"{file_lines(folder, files, drawings)}",
        end="",
    )
    if not command.quiet:
        print(f"try next          {command_line('spikemnist', 'plot', folder)}")
        if command.encoder in ("latency", "rate", "direct"):  # codes of the page to draw on
            print(f"                  {command_line('spikemnist', 'export', folder)}")

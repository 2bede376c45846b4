"""``spikemnist train``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import spikemnist
from spikemnist._descriptions import fields_of
from spikemnist._names import NetworkName
from spikemnist._run_folder import CONFIG, FILES, MODEL, command_of, locked, read_config
from spikemnist.cli import offered, pictures, runs, sources
from spikemnist.cli.errors import INTERRUPTED, WrongRequest, refuse, request
from spikemnist.cli.output import Block, command_line, say, show, show_detail
from spikemnist.cli.parser import Command, Options, number, whole
from spikemnist.models.network_options import LAYERS, NetworkOptions
from spikemnist.training.config import TrainConfig
from spikemnist.training.recipe import SMALL, SMALL_LAYERS, Recipe, recipes, with_classes

SUMMARY = "Train a spiking network, test it, and draw its activity."
EXAMPLES = """
spikemnist train
spikemnist train --data mnist --recipe fast --out runs/fast
spikemnist train --resume --out runs/fast
"""

MODELS = get_args(NetworkName)
RECIPES = dict.fromkeys(name for name, _ in recipes if name not in ("default", "events", "fashion"))
OF_NETWORK = {"hidden", "layers", *(field.name for field in fields(NetworkOptions))}
OF_CONFIG = {field.name for field in fields(TrainConfig)}
"""Options that are settings of a network, and of a training."""


def add_options(add: Options) -> None:
    """Add the options."""
    sources.add_options(add)
    text = (
        "settings for images of 28 x 28 pixels. fast: 98 % on MNIST in seconds. accurate: highest "
        "accuracy, in minutes to an hour; it has other settings for fashion_mnist. sparse: few "
        "spikes. Other options given override it"
    )
    add("--recipe", text, names=RECIPES)
    add.shared("--encoder", "--num-steps", "--device")
    text = "share of the training images held out to choose the best epoch"
    add("--validation", text, kind=number(0, 1), value="X")
    runs.add_options(add)
    text = "print what a batch shows of the network before training, and what is wrong; then stop"
    add("--diagnose", text, False)
    add.group("network")
    text = "mlp: dense layers. conv: convolutions before them; --model conv --help has its defaults"
    add("--model", text, "mlp", names=MODELS)
    text = "neurons of each hidden layer of an mlp; 512 256 makes two layers"
    add("--hidden", text, (512,), kind=whole(1, 1_000_000), value="N")
    text = (
        "layers of a conv: 12C5 is a convolution with 12 channels and kernels of 5 x 5, P2 is "
        "pooling, 10 is a dense layer"
    )
    absent = f"{LAYERS}, {SMALL_LAYERS} below {SMALL} pixels, ending in the classes"
    add("--layers", text, value="LAYERS", absent=absent)
    add.fields(
        NetworkOptions,
        batch_norm="batch normalisation of each convolution of a conv, or hidden layer of an mlp",
        learn_beta="train beta as well",
        learn_threshold="train the threshold as well",
    )
    add.group("learning")
    add.fields(TrainConfig, seed="seed of the weights, the order of the images and the encoder")
    add.group("recordings, with --data nmnist")
    add("--first-saccade", "use only the first saccade of each recording", False, undo=True)
    text = "probability that an event is left out in training, drawn anew in each epoch"
    add("--drop-events", text, 0.0, kind=number(0, 1), value="P")


def defaults(command: Command) -> dict[str, Any]:
    """Return the options of the resumed run, or those that follow from recipe, data and model.

    ``start`` among them is the recipe with which the command begins.
    """
    recipe = _resumed(command.out) if command.resume else _chosen(command)
    network = {**recipe.network}
    options = {
        "start": recipe,
        "model": network.pop("name"),
        **network,
        **fields_of(recipe.config),
        "encoder": recipe.encoder["name"],
        "num_steps": recipe.encoder["num_steps"],
    }
    if command.resume:
        data = read_config(command.out)["data"]
        if isinstance(data.get("validation"), str):
            raise WrongRequest(
                f"{command.out} has validation data of its own, which no option names: continue it "
                "in Python, with fit(..., resume=True)"
            )
        options |= {"validation": data.get("validation"), **sources.options_of(data)}
    return options


def _chosen(command: Command) -> Recipe:
    """Return the recipe of ``--recipe`` and ``--model``, or the default one for the data."""
    of_events = command.data == "nmnist"
    name = command.recipe or ("events" if of_events else "default")
    if command.recipe and of_events:
        raise WrongRequest(f"--recipe {name} is for images, but nmnist has recordings; remove it")
    if name == "accurate" and command.data == "fashion_mnist":
        name = "fashion"
    if (name, command.model) not in recipes:
        models = " or ".join(model for recipe, model in recipes if recipe == name)
        raise WrongRequest(f"--recipe {name} needs --model {models}; got {command.model}")
    return recipes[name, command.model]


def _resumed(folder: Path | None) -> Recipe:
    """Return the recipe of the run in a folder."""
    if folder is None:
        raise WrongRequest("--resume needs --out, the folder of the run to continue")
    try:
        values = read_config(folder)
    except FileNotFoundError as error:
        raise WrongRequest(str(error)) from None
    if command_of(values) != "train":
        raise WrongRequest(f"{folder} is a run of `spikemnist stdp`, not of `train`")
    try:
        return Recipe.from_json(values)
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG} is damaged: {error}") from error


def check(command: Command) -> None:
    """Refuse options that do not fit the data or each other."""
    if command.resume:
        refuse(command, "recipe", "diagnose", because="with --resume")
    if command.model == "conv":
        refuse(command, "hidden", because="with --model conv, which has --layers")
    else:
        refuse(command, "layers", because="without --model conv")
    if command.data != "nmnist":
        refuse(command, "first_saccade", "drop_events", because="without --data nmnist")
    elif command.augment:
        refuse(command, "augment", because="for recordings, which have --drop-events")
    if command.backend == "snntorch" and command.batch_norm:
        raise WrongRequest("--backend snntorch cannot train with batch norm; add --no-batch-norm")
    sources.check_place(command, command.data)
    sources.check_code(command)
    if command.patience and not command.validation:
        raise WrongRequest("--patience needs --validation, for example --validation 0.1")
    with request(command):
        recipe_of(command)


def recipe_of(command: Command) -> Recipe:
    """Return the recipe of the command: the first one, changed by the options of the user."""

    def part(described: Mapping[str, Any], name: str) -> dict[str, Any]:
        return {**described} if described["name"] == name else {"name": name}

    def user_options(names: set[str]) -> dict[str, Any]:
        return {name: vars(command)[name] for name in command.user_options if name in names}

    start: Recipe = command.start
    return replace(
        start,
        network=part(start.network, command.model) | user_options(OF_NETWORK),
        encoder=part(start.encoder, command.encoder) | {"num_steps": command.num_steps},
        config=replace(start.config, **user_options(OF_CONFIG)),
    )


def run(command: Command) -> int:
    """Train, test, draw and print the results."""
    from spikemnist.training.team import find_team, joined

    start = time.perf_counter()
    with request(command):
        device = spikemnist.training.select_device(command.device)
    train, test = sources.load(vars(command))
    classifier, config = _prepare(command, train)
    show_detail(command, classifier.network, f"{len(train):,} training images, device {device}")
    if command.diagnose:
        diagnosis = spikemnist.training.diagnose(classifier, train, config, device=device)
        show(command, diagnosis=Block(repr(diagnosis), diagnosis))
        return 0
    with joined():
        team = find_team()
        with team.enter(runs.run_folder(command, command.encoder)) as folder:
            history = spikemnist.fit(
                classifier,
                train,
                config,
                validation=command.validation or None,
                run=folder,
                resume=command.resume,
                device=command.device,
            )
        if team.is_first:
            _report(command, classifier, (train, test), history, folder, start)
    return INTERRUPTED if history.interrupted else 0


def _report(
    command: Command,
    classifier: spikemnist.Classifier,
    data: tuple[sources.Dataset, sources.Dataset],
    history: spikemnist.training.History,
    folder: Path,
    start: float,
) -> None:
    """Test what was trained, draw and print the results, and the commands that use the run."""
    if history.interrupted:
        show(command, run=folder, history=history, interrupted=True)
        words = command_line("spikemnist", "train", "--resume", "--out", folder)
        say(command, f"next              {words}")
        return
    train, test = data
    if command.validation:  # the limits of doubt, on the images that `fit` has held out
        _, held_out = train.split(command.validation, command.seed)
        classifier.limits = spikemnist.measure_limits(classifier, held_out, seed=command.seed)
        with locked(folder):
            classifier.save(folder / MODEL)
    evaluation = spikemnist.evaluate(classifier, test, device=history.device, seed=command.seed)
    figures = {
        **spikemnist.viz.of_run(history=history, evaluation=evaluation),
        **pictures.of_sample(classifier, test, names=("encoding", "decision")),
    }
    show(
        command,
        run=folder,
        history=history,
        interrupted=False,
        best_epoch=history.best_epoch,
        test=evaluation,
        total_seconds=time.perf_counter() - start,
        files=[*FILES, *(path.name for path in pictures.save_all(figures, folder))],
    )
    say(command, f"next              {command_line('spikemnist', 'plot', folder)}")
    if command.data != "nmnist":
        say(command, f"{'':18}{command_line('spikemnist', 'predict', folder, 'your-picture.png')}")
    of_pages = command.encoder in ("latency", "rate", "direct") and command.data in sources.DATA
    if of_pages and "export" in offered():
        say(command, f"{'':18}{command_line('spikemnist', 'export', folder)}")


def _prepare(command: Command, train: sources.Dataset) -> tuple[spikemnist.Classifier, TrainConfig]:
    """Return a new classifier for the training data, and the settings of its run."""
    from spikemnist.data.feed import sample_shape

    recipe = recipe_of(command)
    if not command.resume:
        # The classes of digits are numbers, which need no names.
        classes = () if command.data in sources.DIGITS else train.classes
        recipe = replace(recipe, sample=sample_shape(train), classes=classes)
        if classes and command.layers and "layers" not in command.user_options:
            layers = with_classes(command.layers, len(classes))
            recipe = replace(recipe, network={**recipe.network, "layers": layers})
    option = "--layers" if command.model == "conv" else "--encoder"
    with request(command, "--out" if command.resume else option):
        return recipe.classifier(command.seed), recipe.config

"""``spikemnist train``: options, recipes, and what a run prints and writes."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spikemnist import load
from spikemnist.cli import offered, parser, train
from spikemnist.ops import select_backend
from spikemnist.training import Recipe, recipes
from tests.cli.command import answers, error, fields, spikemnist
from tests.cli.conftest import Trained

pytestmark = pytest.mark.slow

FILES = {"config.json", "metrics.csv", "model.safetensors", "checkpoint.pt"}
PICTURES = {"training.png", "confusion.png", "encoding-0.png", "decision-0.png"}
OPTIONS: dict[str, tuple[str, str, object]] = {
    "--hidden": ("20 9", "network.hidden", [20, 9]),
    "--batch-norm": ("", "network.batch_norm", True),
    "--beta": ("0.8", "network.beta", 0.8),
    "--threshold": ("0.7", "network.threshold", 0.7),
    "--reset-mechanism": ("zero", "network.reset_mechanism", "zero"),
    "--spike-grad": ("sigmoid", "network.spike_grad.name", "sigmoid"),
    "--learn-beta": ("", "network.learn_beta", True),
    "--learn-threshold": ("", "network.learn_threshold", True),
    "--dropout": ("0.1", "network.dropout", 0.1),
    "--input-dropout": ("0.2", "network.input_dropout", 0.2),
    "--readout": ("spike_count", "network.readout", "spike_count"),
    "--population": ("3", "network.population", 3),
    "--backend": ("reference", "network.backend", "reference"),
    "--encoder": ("rate", "encoder.name", "rate"),
    "--num-steps": ("6", "encoder.num_steps", 6),
    "--epochs": ("2", "config.epochs", 2),
    "--batch-size": ("500", "config.batch_size", 500),
    "--lr": ("0.005", "config.lr", 0.005),
    "--optimizer": ("adamw", "config.optimizer", "adamw"),
    "--schedule": ("cosine", "config.schedule", "cosine"),
    "--label-smoothing": ("0.1", "config.label_smoothing", 0.1),
    "--spike-penalty": ("1e-4", "config.spike_penalty", 1e-4),
    "--clip-norm": ("5", "config.clip_norm", 5.0),
    "--truncate": ("4", "config.truncate", 4),
    "--augment": ("affine erase", "config.augment", ["affine", "erase"]),
    "--weight-decay": ("0.02", "config.weight_decay", 0.02),
    "--initial-rate": ("0.1", "config.initial_rate", 0.1),
    "--seed": ("6", "config.seed", 6),
    "--validation": ("0.1", "data.validation", 0.1),
    "--patience": ("1 --validation 0.1", "config.patience", 1),
}
"""Words for each option, its place in ``config.json``, and what stands there."""

ELSEWHERE = """
    --model --layers --loss --data --root --size --invert --device --first-saccade --drop-events
    --recipe --out --resume --diagnose
"""
"""Options whose values other tests see, and those that are no part of a run."""


def parse(*words: str) -> parser.Command:
    return parser.parse("train", train, words)


def configuration(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return values


def test_train_without_arguments(tmp_path: Path) -> None:
    output = spikemnist("train", cwd=tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    assert {file.name for file in folder.iterdir()} == FILES | PICTURES
    result = fields(output.stdout)
    assert float(result["accuracy"].split("%")[0]) >= 94
    backend = select_backend("auto")
    assert result["test"] == f"Evaluation of 1,000 samples, by the backend {backend}"
    assert {*result["files"].split(", ")} == FILES | PICTURES
    path = folder.relative_to(tmp_path)
    assert result["run"] == str(path)
    assert result["next"] == f"spikemnist plot {path}"
    more = [f"predict {path} your-picture.png"] + [f"export {path}"] * ("export" in offered())
    assert output.stdout.endswith("".join(f"\n{'':18}spikemnist {words}" for words in more) + "\n")
    # A line for each epoch, no warning.
    row = r"epoch {:2}/10  loss \d\.\d{{4}}  accuracy +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.fullmatch("".join(row.format(epoch) for epoch in range(1, 11)), output.stderr)


def test_files_of_a_run(run: Path) -> None:
    config = configuration(run)
    assert (config["sample"], config["classes"], config["data"]["name"]) == ([28, 28], [], "digits")
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["accuracy"]) > float(rows[0]["accuracy"])
    for picture in PICTURES:
        assert (run / picture).read_bytes().startswith(b"\x89PNG")


def test_every_option_arrives(tmp_path: Path) -> None:
    words = [word for option, (value, *_) in OPTIONS.items() for word in (option, *value.split())]
    output = spikemnist("train", *words, "--out", "run", cwd=tmp_path)
    assert fields(output.stdout)["best epoch"] in "12"
    assert "by the backend reference\n" in output.stdout
    line = r"accuracy +[\d.]+%  validation +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.search(line, output.stderr)
    for _, path, expected in OPTIONS.values():
        actual: Any = configuration(tmp_path / "run")
        for name in path.split("."):
            actual = actual[name]
        assert actual == expected, path
    classifier = load(tmp_path / "run")
    assert classifier.network.sizes == {"hidden 1": 20, "hidden 2": 9, "output": 30}
    leaky = classifier.network.layers[0].leaky
    assert 0.7 < leaky.beta.item() < 0.9
    assert 0.6 < leaky.threshold.item() < 0.8
    assert isinstance(leaky.threshold, torch.nn.Parameter)


def test_every_option_has_its_place() -> None:
    options = parser.options_of("train", train)
    flags = {f"--{name.replace('_', '-')}" for name in options.defaults}
    output = {"--json", "--quiet", "--verbose", "--debug"}
    assert flags - output == {*OPTIONS, *ELSEWHERE.split()}


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        ("--hidden 20 9", "network.hidden was [40], is [20, 9]. Resume"),
        ("--encoder rate", "encoder.name was 'latency', is 'rate'. Resume"),
        ("--augment affine erase", "config.augment was [], is ['affine', 'erase']. Resume"),
        ("--validation 0.1", "data.validation was None, is 0.1. Resume"),
        ("--population 2", "network.population was 1, is 2. Resume"),
        ("--model conv", "network.name was 'mlp', is 'conv'. Resume"),
    ],
)
def test_resuming_with_another_option_names_it(words: str, difference: str, run: Path) -> None:
    message = error("train", "--resume", "--out", "run", *words.split(), cwd=run.parent)
    assert message.startswith(f"cannot resume run with another configuration: {difference}")


def test_resuming_takes_no_recipe(run: Path) -> None:
    message = error("train", "--resume", "--out", "run", "--recipe", "fast", cwd=run.parent)
    assert message == "--recipe would do nothing with --resume; leave it out"


def described(recipe: Recipe) -> Recipe:
    """Return a recipe with all defaults of its network and encoder."""
    return Recipe.of(recipe.classifier(), recipe.config, recipe.sample)


@pytest.mark.parametrize(("name", "model"), [key for key in recipes if key[0] != "events"])
def test_options_override_a_recipe(name: str, model: str) -> None:
    data, word = ("fashion_mnist", "accurate") if name == "fashion" else ("mnist", name)
    words = ["--model", model, "--data", data, *(["--recipe", word] if word != "default" else [])]
    recipe = described(recipes[name, model])
    assert described(train.recipe_of(parse(*words))) == recipe
    words += ["--epochs", "2", "--augment", "none", "--no-batch-norm", "--dropout", "0.3"]
    network = {**recipe.network, "batch_norm": False, "dropout": 0.3}
    config = replace(recipe.config, epochs=2, augment=())
    expected = replace(recipe, network=network, config=config)
    assert described(train.recipe_of(parse(*words))) == expected


def test_a_convolutional_network(conv: Trained) -> None:
    run, trained = conv
    assert trained["test"]["accuracy"] >= 0.8
    config = configuration(run)
    assert config["network"]["layers"] == "4C5-P2-6C5-P2-10"
    assert (config["network"]["batch_norm"], config["encoder"]["name"]) == (True, "direct")
    assert config["config"]["loss"] == "spike_time_mse"
    (tested,) = answers("evaluate", run, cwd=run)
    assert tested["test"]["confusion"] == trained["test"]["confusion"]
    resumed = ("train", "--resume", "--out", run, "--layers", "4C5-P2-10")
    message = "network.layers was '4C5-P2-6C5-P2-10', is '4C5-P2-10'"
    assert message in error(*resumed, cwd=run)


@pytest.mark.filterwarnings("default:hidden 1 did not fire")
def test_warnings_are_one_line(tmp_path: Path) -> None:
    words = ("--threshold", 50, "--hidden", 2, "--epochs", 1, "--batch-size", 5000, "--lr", 1e-9)
    warning, epoch = spikemnist("train", *words, cwd=tmp_path).stderr.splitlines()
    assert warning.startswith("spikemnist: warning: hidden 1 did not fire in an epoch: diagnose")
    assert epoch.startswith("epoch 1/1  loss ")


def test_a_diagnosis_is_printed_in_place_of_a_training(tmp_path: Path) -> None:
    words = ("train", "--diagnose", "--hidden", 20, "--threshold", 50)
    text = spikemnist(*words, cwd=tmp_path).stdout
    assert text.lstrip().startswith("LeakyMLP of 15,910 parameters, 64 images, 8 timesteps")
    (answer,) = answers(*words, cwd=tmp_path)
    (finding,) = answer["diagnosis"]["findings"]
    assert f"- {finding}" in text
    assert [layer["name"] for layer in answer["diagnosis"]["layers"]] == ["hidden 1", "output"]
    assert not [*tmp_path.iterdir()]

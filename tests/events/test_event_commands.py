"""Commands on recordings of an event camera."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikemnist import Classifier, LeakyMLP, TrainConfig, fit, load
from spikemnist.data import EVENT, load_nmnist
from spikemnist.encoding import EventEncoder
from spikemnist.export.codebook import codebook
from spikemnist.training import recipes
from tests.cli.command import answers, error, spikemnist
from tests.events.event_recordings import digits, left_half, to_bytes, write_split

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of recordings, the first one of each part without an event."""
    folder = tmp_path_factory.mktemp("nmnist")
    empty = {"0/00001.bin": to_bytes(np.empty(0, EVENT))}
    write_split(folder / "N-MNIST", "Train", {**digits(40), **empty})
    write_split(folder / "N-MNIST", "Test", {**digits(20, seed=50), **empty})
    return folder


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a run, and its result."""
    folder = tmp_path_factory.mktemp("events")
    words = ("--data", "nmnist", "--root", root, "--epochs", 1, "--hidden", 16)
    words += ("--threshold", 0.2, "--first-saccade", "--drop-events", 0.1, "--out", "run")
    (result,) = answers("train", *words, cwd=folder)
    return folder / "run", result


def test_train_evaluate_and_plot(trained: tuple[Path, dict[str, Any]]) -> None:
    run, result = trained
    assert result["test"]["samples"] == 20
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    names = [change.pop("name").split(".")[-1] for change in config["data"]["changes"]]
    assert names == ["FirstSaccade", "DropEvents"]
    assert config["data"]["changes"] == [{}, {"probability": 0.1}]
    assert config["encoder"]["name"] == "events"
    assert load(run).network.in_shape == (2 * 34 * 34,)

    (tested,) = answers("evaluate", "run", cwd=run.parent)
    assert tested["data"] == "nmnist"
    assert tested["test"]["confusion"] == result["test"]["confusion"]

    resume = ("train", "--resume", "--out", "run")
    (resumed,) = answers(*resume, cwd=run.parent)
    assert resumed["test"]["confusion"] == result["test"]["confusion"]
    assert "data.changes was " in error(*resume, "--no-first-saccade", cwd=run.parent)

    (drawn,) = answers("plot", "run", "--index", 3, cwd=run.parent)
    names = {Path(path).name for path in drawn["written"]}
    assert {"event_frames-3.png", "event_animation-3.gif"} <= names
    assert all((run / name).stat().st_size > 1000 for name in names)


def test_a_convolutional_network(root: Path, tmp_path: Path) -> None:
    words = ("--data", "nmnist", "--root", root, "--model", "conv", "--layers", "4C5-P2-10")
    spikemnist("train", *words, "--epochs", 1, "--first-saccade", "--out", "run", cwd=tmp_path)
    assert load(tmp_path / "run").network.in_shape == (2, 34, 34)


@pytest.mark.filterwarnings("ignore:hidden 1 did not fire")
def test_changes_without_an_option(root: Path, tmp_path: Path) -> None:
    recipe, (train, _) = recipes["events", "mlp"], load_nmnist(root)
    changed = train.transformed(left_half)
    classifier = replace(recipe, sample=(34, 17)).classifier()
    fit(classifier, changed, TrainConfig(epochs=1), run=tmp_path / "run", progress=False)
    for words in ("evaluate run", "plot run", "train --resume --out run"):
        message = error(*words.split(), cwd=tmp_path)
        assert message == "no option changes recordings by left_half, as this run did: use Python"


def test_encode(root: Path, tmp_path: Path) -> None:
    words = ("encode", "--data", "nmnist", "--root", root, "--num-steps", 6)
    (result,) = answers(*words, "--index", 2, "--out", "spikes.npy", cwd=tmp_path)
    assert np.load(tmp_path / "spikes.npy").shape == (6, 2, 34, 34)
    assert (result["index"], result["label"]) == (2, "2")
    assert result["encoder"] == "events"
    spikemnist(*words, "--out", "spikes.png", cwd=tmp_path)
    assert (tmp_path / "spikes.png").stat().st_size > 1000


def test_robustness_needs_images(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    message = error("evaluate", trained[0], "--robustness", cwd=tmp_path)
    assert message.startswith("--robustness needs images")


def test_plot_of_a_recording_without_events(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    printed = spikemnist("plot", trained[0], "--out", "pictures", cwd=tmp_path).stdout
    assert "encoding-0.png" in printed
    assert "event_frames-0.png" not in printed


def test_what_a_network_of_recordings_cannot_do(tmp_path: Path) -> None:
    classifier = Classifier(LeakyMLP(hidden=4), EventEncoder(num_steps=4))
    classifier.save(tmp_path / "events.safetensors")
    message = error("predict", "events.safetensors", "one.png", cwd=tmp_path)
    assert "events.safetensors reads recordings of an event camera; predict needs" in message
    message = error("export", "events.safetensors", cwd=tmp_path)
    assert message.startswith("--to html: the page supports latency, rate and direct codes")
    with pytest.raises(ValueError, match="EventEncoder needs an EventBatch"):
        codebook(classifier.encoder)

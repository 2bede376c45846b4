"""Run folders: new, killed, interrupted and resumed ones, and those of the library."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import numpy as np
import pytest
from PIL import Image
from snntorch import Leaky
from torch import nn

from spikemnist import (
    Classifier,
    TrainConfig,
    decide,
    evaluate,
    fit,
    load,
    load_digits,
    load_images,
    measure_limits,
)
from spikemnist.encoding import LatencyEncoder
from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate
from spikemnist.ops import FastSigmoid
from spikemnist.recognition.image_files import read_picture
from spikemnist.training import History
from tests.cli.command import answers, copy_digits, error, fields, spikemnist

SMALL = ("--hidden", 8, "--threshold", 0.2, "--epochs", 1, "--batch-size", 1000)
WORDS = ("train", "--hidden", 40, "--epochs", 3, "--seed", 3)
"""The command of the run that all tests share."""


def resume(folder: Path, *words: object, code: int = 0) -> str:
    """Continue a run, and return what is printed."""
    command = ("train", "--resume", "--out", folder.name, *words)
    return spikemnist(*command, cwd=folder.parent, code=code).stdout


def expect_same_files(actual: Path, expected: Path, *names: str) -> None:
    for name in names or ("config.json", "metrics.csv", "model.safetensors"):
        assert (actual / name).read_bytes() == (expected / name).read_bytes(), name


def press_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C once so many epochs are written."""
    save = History.save_csv

    def save_and_press(self: History, path: str | Path) -> None:
        save(self, path)
        if len(self) == epochs:
            monkeypatch.setattr(History, "save_csv", save)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(History, "save_csv", save_and_press)


def test_two_runs_of_one_second_have_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "now")
    runs = [answers("train", *SMALL, cwd=tmp_path)[0]["run"] for _ in range(2)]
    names = ["now-digits-latency", "now-digits-latency-2"]
    assert runs == [str(Path("runs", name)) for name in names]


@pytest.mark.parametrize("words", [(), ("--out", "run")])
def test_a_run_that_fails_leaves_no_folder(words: tuple[str, ...], tmp_path: Path) -> None:
    message = error("train", *SMALL, "--lr", 1e38, *words, cwd=tmp_path, code=1)
    assert "the loss became" in message
    assert not any(tmp_path.iterdir())


def test_a_run_is_never_overwritten(run: Path) -> None:
    before = {file: file.read_bytes() for file in run.iterdir()}
    assert "never overwritten: add --resume" in error("train", "--out", run, cwd=run.parent)
    assert {file: file.read_bytes() for file in run.iterdir()} == before


def test_a_run_killed_in_its_first_epoch_continues(run: Path, tmp_path: Path) -> None:
    """It has a description alone."""
    folder = copytree(run, tmp_path / "run", ignore=lambda _, names: {*names} - {"config.json"})
    for command in ("plot", "evaluate"):
        message = error(command, "run", cwd=tmp_path)
        assert message.startswith("run has no model.safetensors, because the run has not finished")
        assert "continue it with `spikemnist train --resume --out run`" in message
    resume(folder)
    expect_same_files(folder, run)


def test_an_interrupted_run_continues_to_the_same_bits(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also once it has finished, given options that are its own."""
    press_after(1, monkeypatch)
    printed = fields(spikemnist(*WORDS, "--out", "run", cwd=tmp_path, code=130).stdout)
    assert printed["history"].startswith("History of 1 epoch, ")
    assert printed["interrupted"] == "yes"
    assert printed["next"] == "spikemnist train --resume --out run"
    resume(tmp_path / "run")
    expect_same_files(tmp_path / "run", run)
    own = "--model mlp --encoder latency --threshold 1 --spike-grad atan --validation 0 --lr 0.01"
    resume(tmp_path / "run", *WORDS[1:], *own.split(), "--augment", "none")
    expect_same_files(tmp_path / "run", run)


def test_epochs_at_a_constant_rate_root_and_device_may_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_digits(tmp_path / "data")
    words = ("train", "--data", "fashion_mnist", "--schedule", "constant", *SMALL)
    spikemnist(*words, "--root", "data", "--epochs", 3, "--out", "whole", cwd=tmp_path)
    spikemnist(*words, "--root", "data", "--epochs", 1, "--out", "run", cwd=tmp_path)
    (tmp_path / "data").rename(tmp_path / "moved")
    press_after(2, monkeypatch)
    moved = ("--root", "moved", "--device", "cpu")
    resume(tmp_path / "run", *moved, "--epochs", 3, code=130)
    resume(tmp_path / "run", *moved)
    expect_same_files(tmp_path / "run", tmp_path / "whole", "metrics.csv", "model.safetensors")
    for words in (("run",), ("whole", "--root", "moved")):  # `run` knows where the data are now
        assert answers("evaluate", *words, cwd=tmp_path)[0]["data"] == "fashion_mnist"
    message = error("train", "--resume", "--out", "run", *moved, "--epochs", 2, cwd=tmp_path)
    assert "config.epochs was 3, is 2" in message


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_commands_continue_a_run_of_the_library(kind: str, tmp_path: Path) -> None:
    """Also one with what no option has: a beta for each layer, a slope, classes without names."""
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 255, (90, 8, 8), np.uint8), np.arange(90) % 3
    np.savez(tmp_path / "set.npz", images=images, labels=labels)
    train, test = load_images(tmp_path / "set.npz")

    def train_in_python(folder: str, epochs: int) -> None:
        options: Any = {"beta": (0.9, 0.8), "threshold": 0.2, "spike_grad": FastSigmoid(10.0)}
        network: Any = LeakyMLP(5, in_features=64, out_features=3, seed=0, **options)
        if kind == "conv":
            network = LeakyConvNet("2C3-3", in_shape=(1, 8, 8), seed=0, **options)
        classifier = Classifier(network, LatencyEncoder(num_steps=4, tau=2.0))
        config = TrainConfig(epochs=epochs, batch_size=10, schedule="constant", seed=5)
        fit(classifier, train, config, validation=0.2, run=tmp_path / folder, progress=False)
        classifier.limits = measure_limits(classifier, train.split(0.2, 5)[1], seed=5)
        classifier.save(tmp_path / folder / "model.safetensors")

    train_in_python("whole", 2)
    train_in_python("run", 1)
    resume(tmp_path / "run", "--epochs", 2)
    expect_same_files(tmp_path / "run", tmp_path / "whole")
    (tested,) = answers("evaluate", "run", cwd=tmp_path)
    assert (tested["data"], tested["test"]["samples"]) == (str(tmp_path / "set.npz"), len(test))
    (drawn,) = answers("plot", "run", "--out", "pictures", cwd=tmp_path)
    assert all((tmp_path / file).exists() for file in drawn["written"])


@pytest.mark.usefixtures("neurons")
@pytest.mark.filterwarnings("default:.*dark on light")
def test_a_run_remembers_that_its_pictures_were_inverted(tmp_path: Path) -> None:
    digits = load_digits()[0][:200]
    for index, (image, label) in enumerate(digits):
        file = tmp_path / f"set/{label}/{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - image.numpy()).save(file)
    words = ("--data", "set", "--size", 20, "--threshold", 0.3, "--out", "run", "--epochs", 3)
    message = spikemnist("train", *words, cwd=tmp_path).stderr
    assert "dark on light, so nearly every pixel spikes" in message
    rmtree(tmp_path / "run")
    message = spikemnist("train", *words, "--invert", cwd=tmp_path).stderr
    assert "dark on light" not in message
    assert json.loads((tmp_path / "run/config.json").read_text("utf-8"))["data"]["inverted"] is True
    (tested,) = answers("evaluate", "run", cwd=tmp_path)
    _, test = load_images(tmp_path / "set", size=20, invert=True)
    expected = evaluate(load(tmp_path / "run"), test, progress=False)
    assert tested["test"]["accuracy"] == expected.accuracy
    file = sorted(tmp_path.glob("set/*/*.png"))[0]
    (answer,) = answers("predict", "run", file, cwd=tmp_path)
    pixels = 255 - read_picture(file, (20, 20))
    decision = decide(load(tmp_path / "run"), pixels, prepare=False)
    assert answer == json.loads(json.dumps(decision.to_json())) | {
        name: answer[name] for name in ("picture", "written")
    }
    message = error("train", "--data", "digits", "--invert", cwd=tmp_path)
    assert "for digits, which is light on dark" in message


def test_what_no_option_names_is_continued_in_python(tmp_path: Path) -> None:
    digits = load_digits()[0][:50]
    own = accelerate(nn.Sequential(nn.Flatten(), nn.Linear(784, 10), Leaky(beta=0.9)))
    for network, validation, message in (
        (
            own,
            None,
            "network must be one of mlp, conv; got 'torch.nn.modules.container.Sequential'",
        ),
        (LeakyMLP(hidden=8, threshold=0.2), digits, "has validation data of its own, which no opt"),
    ):
        options: Any = {"validation": validation, "run": tmp_path / message[:7], "progress": False}
        fit(Classifier(network, "latency"), digits, TrainConfig(epochs=1), **options)
        assert message in error("train", "--resume", "--out", message[:7], cwd=tmp_path)


def test_a_folder_of_runs_names_them(run: Path) -> None:
    for command in ("plot", "evaluate"):
        assert f"; run folders in it are {run}" in error(command, run.parent, cwd=run.parent)


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"data": {}}', encoding="utf-8")
    message = error("train", "--resume", "--out", tmp_path, cwd=tmp_path, code=1)
    assert message.startswith(f"{tmp_path / 'config.json'} is damaged: no description of a run: ")

"""Commands on recordings of an event camera."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spikemnist import load
from spikemnist.cli import main
from spikemnist.data import EVENT
from tests.cli.command import spikemnist
from tests.event_recordings import digits, to_bytes, write_split

if TYPE_CHECKING:
    from pathlib import Path

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
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a run, and its output."""
    folder = tmp_path_factory.mktemp("events")
    words = ("--data", "nmnist", "--root", root, "--epochs", 1, "--hidden", 16, "--stabilize")
    output = spikemnist("train", *words, "--drop-events", 0.1, "--out", "run", cwd=folder).stdout
    return folder / "run", output


@pytest.mark.filterwarnings("default:layer 'hidden 1' did not fire")
def test_train_evaluate_and_plot(trained: tuple[Path, str]) -> None:
    run, output = trained
    assert "of 20 samples" in output
    assert "spikes per sample input" in output
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert (config["encoder"], config["stabilize"], config["drop_events"]) == ("events", True, 0.1)
    assert load(run).network.in_shape == (2 * 34 * 34,)

    tested = spikemnist("evaluate", "run", cwd=run.parent)
    accuracy = output.split()[2]
    assert f"accuracy          {accuracy} of 20 test samples of nmnist" in tested.stdout

    drawn = spikemnist("plot", "run", "--index", 3, cwd=run.parent).stdout.split()
    names = {path.split("run")[-1].strip("/\\") for path in drawn}
    assert {"events-3.png", "events-3-scatter.png", "events-3.gif", "encoding-3.png"} <= names
    assert all((run / name).stat().st_size > 1000 for name in names)


def test_a_convolutional_network(root: Path, tmp_path: Path) -> None:
    words = ("--data", "nmnist", "--root", root, "--model", "conv", "--layers", "4C5-P2-10")
    spikemnist("train", *words, "--epochs", 1, "--first-saccade", "--out", "run", cwd=tmp_path)
    assert load(tmp_path / "run").network.in_shape == (2, 34, 34)


def test_encode(root: Path, tmp_path: Path) -> None:
    words = ("encode", "--data", "nmnist", "--root", root, "--num-steps", 6)
    printed = spikemnist(*words, "--index", 2, "--out", "spikes.npy", cwd=tmp_path).stdout
    assert np.load(tmp_path / "spikes.npy").shape == (6, 2, 34, 34)
    assert "events   test sample 2 of nmnist, class 2" in printed
    spikemnist(*words, "--out", "spikes.png", cwd=tmp_path)
    assert (tmp_path / "spikes.png").stat().st_size > 1000


def test_robustness_needs_images(trained: tuple[Path, str], tmp_path: Path) -> None:
    words = ("evaluate", trained[0], "--robustness")
    assert "--robustness needs images" in spikemnist(*words, cwd=tmp_path, code=2).stderr


def test_absent_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "--data", "nmnist", "--root", str(tmp_path)]) == 1
    assert "Get Train.zip and Test.zip from" in capsys.readouterr().err


@pytest.mark.filterwarnings("default:layer 'hidden 1' did not fire")
def test_plot_of_a_recording_without_events(trained: tuple[Path, str], tmp_path: Path) -> None:
    printed = spikemnist("plot", trained[0], "--out", "pictures", cwd=tmp_path).stdout
    assert "encoding-0.png" in printed
    assert "events-0.png" not in printed


def test_a_damaged_recording_is_named(root: Path, tmp_path: Path) -> None:
    write_split(tmp_path / "N-MNIST", "Train", {**digits(20), "9/00010.bin": b"\x63\5\x80\0\5"})
    write_split(tmp_path / "N-MNIST", "Test", digits(4))
    words = ("--data", "nmnist", "--root", tmp_path, "--epochs", 1, "--hidden", 8, "--out", "run")
    error = spikemnist("train", *words, cwd=tmp_path, code=1).stderr
    path = tmp_path / "N-MNIST" / "Train" / "9" / "00010.bin"
    assert f"{path} is damaged: it has events from" in error

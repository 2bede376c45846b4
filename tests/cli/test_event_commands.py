"""The command line on recordings of an event camera."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spikemnist.cli import main
from spikemnist.data import EVENT
from spikemnist.models import load_model
from tests.cli.command import spikemnist
from tests.event_recordings import digits, to_bytes, write_split

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of recordings, the first one of each part without an event."""
    folder = tmp_path_factory.mktemp("nmnist")
    nothing = {"0/00001.bin": to_bytes(np.empty(0, EVENT))}
    write_split(folder / "N-MNIST", "Train", {**digits(40), **nothing})
    write_split(folder / "N-MNIST", "Test", {**digits(20, seed=50), **nothing})
    return folder


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a run, and what it said."""
    folder = tmp_path_factory.mktemp("events")
    words = ("--data", "nmnist", "--root", root, "--epochs", 1, "--hidden", 16, "--stabilize")
    said = spikemnist("train", *words, "--drop-events", 0.1, "--out", "run", cwd=folder).stdout
    return folder / "run", said


@pytest.mark.filterwarnings("default:layer 'hidden 1' did not fire")
def test_train_evaluate_and_plot(trained: tuple[Path, str]) -> None:
    run, said = trained
    assert "of 20 samples" in said
    assert "spikes per sample input" in said
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert (config["encoder"], config["stabilize"], config["drop_events"]) == ("events", True, 0.1)
    assert load_model(run / "model.safetensors").in_features == 2 * 34 * 34

    tested = spikemnist("evaluate", "run", cwd=run.parent)
    accuracy = said.split()[2]
    assert f"accuracy          {accuracy} of 20 test samples of nmnist" in tested.stdout

    drawn = spikemnist("plot", "run", "--index", 3, cwd=run.parent).stdout.split()
    names = {path.split("run")[-1].strip("/\\") for path in drawn}
    assert {"events-3.png", "events-3-scatter.png", "events-3.gif", "encoding-3.png"} <= names
    assert all((run / name).stat().st_size > 1000 for name in names)


def test_a_convolutional_network(root: Path, tmp_path: Path) -> None:
    words = ("--data", "nmnist", "--root", root, "--model", "conv", "--layers", "4C5-P2-10")
    spikemnist("train", *words, "--epochs", 1, "--first-saccade", "--out", "run", cwd=tmp_path)
    model = load_model(tmp_path / "run" / "model.safetensors")
    assert model.config["in_shape"] == [2, 34, 34]


def test_encode(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "spikes.npy"
    words = ["encode", "--data", "nmnist", "--root", str(root), "--num-steps", "6"]
    assert main([*words, "--index", "2", "--out", str(out)]) == 0
    assert np.load(out).shape == (6, 2, 34, 34)
    assert "events   test sample 2 of nmnist, a 2" in capsys.readouterr().out
    assert main([*words, "--out", str(tmp_path / "spikes.png")]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--stabilize"), "--first-saccade, --stabilize and --drop-events need --data"),
        (
            ("train", "--data", "nmnist", "--drop-events", "1"),
            "--drop-events must be a probability in [0, 1)",
        ),
        (("train", "--encoder", "events"), "EventEncoder needs an EventBatch"),
        (("train", "--data", "nmnist", "--encoder", "rate"), "which needs an EventEncoder"),
        (("encode", "--encoder", "events"), "EventEncoder needs an EventBatch"),
        (("encode", "--data", "nmnist", "--compare"), "--compare needs images"),
    ],
)
def test_wrong_requests(
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_no_data_and_an_index_too_far(
    root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["train", "--data", "nmnist", "--root", str(tmp_path)]) == 1
    assert "Get Train.zip and Test.zip from" in capsys.readouterr().err
    words = ["encode", "--data", "nmnist", "--root", str(root), "--index", "20"]
    assert main(words) == 2
    assert "--index must lie in 0..19; got 20" in capsys.readouterr().err


@pytest.mark.filterwarnings("default:layer 'hidden 1' did not fire")
def test_a_recording_without_events_can_be_looked_at(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    drawn = spikemnist("plot", trained[0], "--out", "pictures", cwd=tmp_path).stdout
    assert "encoding-0.png" in drawn
    assert "events-0.png" not in drawn


@pytest.mark.parametrize("words", [("train", "--out", "run"), ("encode",)])
def test_an_empty_test_set_is_named_before_anything_is_done(
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for part, number in (("train", 20), ("t10k", 0)):
        images = struct.pack(">4I", 0x0803, number, 28, 28) + bytes(number * 784)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = struct.pack(">2I", 0x0801, number) + bytes(number)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--data", "fashion_mnist", "--root", str(tmp_path)]) == 2
    assert "the test set of fashion_mnist is empty; check" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_damaged_recording_is_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_split(tmp_path / "N-MNIST", "Train", {**digits(20), "9/00010.bin": b"\x63\5\x80\0\5"})
    write_split(tmp_path / "N-MNIST", "Test", digits(4))
    words = (
        "--root",
        str(tmp_path),
        "--epochs",
        "1",
        "--hidden",
        "8",
        "--out",
        str(tmp_path / "r"),
    )
    assert main(["train", "--data", "nmnist", *words]) == 1
    path = tmp_path / "N-MNIST" / "Train" / "9" / "00010.bin"
    assert f"{path} is damaged: it has events from" in capsys.readouterr().err

"""``spikemnist stdp``."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from spikemnist import decide, load
from spikemnist.data import load_digits
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from tests.cli.command import answers, error, fields, spikemnist
from tests.cli.conftest import Trained
from tests.cli.test_own_data import home
from tests.plasticity.bar_images import after

__all__ = ["home"]
pytestmark = pytest.mark.slow

PICTURES = {"confusion", "receptive_fields", "stdp"}
WORDS = ("stdp", "--neurons", 30, "--passes", 2, "--out", "run")


@pytest.fixture
def folder(stdp: Trained) -> Path:
    return stdp[0]


def metrics(result: dict[str, Any]) -> dict[str, Any]:
    """Return the test of a result, without the time."""
    return {**result["test"], "seconds": None}


def test_the_files_and_the_result_of_a_run(stdp: Trained) -> None:
    folder, result = stdp
    files = {file.name for file in folder.iterdir()}
    assert {*result["files"]} == files
    assert files == {
        *(f"{name}.png" for name in PICTURES),
        *("config.json", "metrics.csv", "model.safetensors"),
    }
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    expected = {"name": "STDPClassifier", "n_neurons": 30, "passes": 2, "theta_plus": None}
    assert expected.items() <= config["classifier"].items()
    assert (config["data"]["name"], config["data"]["samples"]) == ("digits", 5000)
    with (folder / "metrics.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    assert 600 < int(rows[0]["images"]) < int(rows[-1]["images"]) <= 10_000
    assert float(rows[0]["accuracy"]) < float(rows[-1]["accuracy"])
    assert (result["theta_plus"], result["learning_rate"]) == (0.0075, 0.005)
    assert (result["interrupted"], result["test"]["loss"]) == (False, None)
    assert result["test"]["accuracy"] > 0.6
    assert set(result["test"]["votes"]) == {"assigned", "proportional"}
    assert STDPClassifier.load(folder / "model.safetensors").n_images_seen_ == 10_000


@pytest.mark.filterwarnings("ignore:.*neuron")
def test_ctrl_c_leaves_what_was_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after(3, monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    printed = fields(spikemnist(*WORDS, cwd=tmp_path, code=130).stdout)
    next_ = "spikemnist evaluate run"
    assert printed == {"run": "run", "interrupted": "yes", "images": "192", "next": next_}
    spikemnist(*next_.split()[1:], cwd=tmp_path)


def test_a_run_killed_in_its_first_pass(stdp: Trained, tmp_path: Path) -> None:
    """It has a description alone."""
    shutil.copytree(stdp[0], tmp_path / "run", ignore=lambda _, names: {*names} - {"config.json"})
    message = error("evaluate", "run", cwd=tmp_path)
    assert message.endswith("has not finished; delete the folder, and start the run again")
    message = error(*WORDS, cwd=tmp_path)
    assert message.endswith("is never overwritten: choose another --out, or delete it")


def test_evaluate_prints_the_same(stdp: Trained) -> None:
    folder, result = stdp
    for source in (folder, folder / "model.safetensors"):
        (again,) = answers("evaluate", source, cwd=folder)
        assert metrics(again) == metrics(result)
    printed = fields(spikemnist("evaluate", folder, cwd=folder).stdout)
    assert "proportional" in printed["by vote"]
    assert not {"loss", "after each step"} & printed.keys()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("stdp --resume --out run", "spikemnist stdp has no --resume"),
        ("train --resume --out run", "run is a run of `spikemnist stdp`, not of `train`"),
        ("evaluate run --energy --memory DRAM", "--energy, --memory would do nothing for run, of"),
        ("evaluate mnist-mlp run --robustness", "--robustness would do nothing for run, of the c"),
        ("evaluate run --backend reference", "the class STDPClassifier, which has no network"),
        ("evaluate run --batch-size 9 --seed 1", "--batch-size, --seed would do nothing for run"),
        ("plot run --index 3 --seed 1", "--index, --seed would do nothing for run, of the class"),
        ("predict run 8.png --gif --out .", "--gif, --out would do nothing for run, of the class"),
    ],
)
def test_wrong_requests(words: str, message: str, folder: Path) -> None:
    assert message in error(*words.split(), cwd=folder.parent)


def test_predict(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(load_digits()[1].images[0].numpy()).save(tmp_path / "digit.png")
    decision = decide(load(folder), tmp_path / "digit.png")
    result = fields(spikemnist("predict", folder, "digit.png", cwd=tmp_path).stdout)
    assert result == {"picture": "digit.png", **dict(decision.table().rows)}
    assert [file.name for file in tmp_path.iterdir()] == ["digit.png"]


def test_plot_draws_the_pictures_of_a_run_again(folder: Path, tmp_path: Path) -> None:
    (result,) = answers("plot", folder, "--out", tmp_path, cwd=tmp_path)
    assert {Path(path).stem for path in result["written"]} == PICTURES
    for name in PICTURES:
        first, again = (imread(where / f"{name}.png") for where in (folder, tmp_path))
        assert np.array_equal(first, again), name


def test_features_through_all_commands(tmp_path: Path) -> None:
    (result,) = answers("stdp", "--features", 8, "--seed", 1, "--out", "run", cwd=tmp_path)
    pictures = {"receptive_fields.png", "confusion.png"}
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert files == {"config.json", "model.safetensors", *pictures} == {*result["files"]}
    assert result["test"]["accuracy"] > 0.8
    (again,) = answers("evaluate", "run", cwd=tmp_path)
    assert metrics(again) == metrics(result)
    (drawn,) = answers("plot", "run", "--out", "pictures", cwd=tmp_path)
    assert {Path(path).name for path in drawn["written"]} == pictures
    classifier = ConvSTDPClassifier.load(tmp_path / "run" / "model.safetensors")
    assert (classifier.n_features, classifier.random_state) == (8, 1)
    _, test = load_digits()
    counts = classifier.transform(test.images)  # of each feature in each cell of an image
    spikes = result["test"]["spikes_per_sample"]
    assert spikes == {"features": pytest.approx((counts > 0).sum() / len(counts))}


@pytest.mark.filterwarnings("ignore:.*use fewer neurons")
def test_stdp_learns_from_pictures(home: Path) -> None:
    words = ("--data", "pictures", "--neurons", 20, "--out", "stdp")
    assert fields(spikemnist("stdp", *words, cwd=home).stdout)["accuracy"]
    (written,) = answers("plot", "stdp", cwd=home)
    assert str(Path("stdp/receptive_fields.png")) in written["written"]

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

from spikemnist.data import load_digits
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from tests.cli.command import answers, error, fields, spikemnist
from tests.cli.conftest import Trained

pytestmark = pytest.mark.slow

PICTURES = {"assignments", "confusion", "receptive_fields", "running_accuracy", "thresholds"}
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
    assert (result["theta_plus"], result["learning_rate"]) == (0.0075, 0.01)
    assert (result["interrupted"], result["test"]["loss"]) == (False, None)
    assert result["test"]["accuracy"] > 0.6
    assert set(result["test"]["votes"]) == {"assigned", "proportional"}
    assert STDPClassifier.load(folder / "model.safetensors").n_images_seen_ == 10_000


def test_a_finished_run_resumes_to_the_same_files(stdp: Trained, tmp_path: Path) -> None:
    shutil.copytree(stdp[0], tmp_path / "run")
    (tmp_path / "run/metrics.csv").unlink()
    (again,) = answers("stdp", "--resume", "--out", "run", cwd=tmp_path)
    assert metrics(again) == metrics(stdp[1])
    for name in ("metrics.csv", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (stdp[0] / name).read_bytes()


def test_ctrl_c_and_resume_end_at_the_same_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = STDPClassifier.save

    def save_and_press(self: STDPClassifier, path: str | Path) -> Path:
        if self.n_images_seen_ == 5000:
            signal.raise_signal(signal.SIGINT)
        return save(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(STDPClassifier, "save", save_and_press)
        printed = fields(spikemnist(*WORDS, cwd=tmp_path, code=130).stdout)
    next_ = "spikemnist stdp --resume --out run"
    assert printed == {"run": "run", "interrupted": "yes", "passes": "1", "next": next_}
    spikemnist(*next_.split()[1:], cwd=tmp_path)
    model = "model.safetensors"
    assert (tmp_path / "run" / model).read_bytes() == (folder / model).read_bytes()


def test_a_run_killed_in_its_first_pass_can_be_continued(folder: Path, tmp_path: Path) -> None:
    """It has a description alone."""
    shutil.copytree(folder, tmp_path / "run", ignore=lambda _, names: {*names} - {"config.json"})
    message = error("evaluate", "run", cwd=tmp_path)
    assert "continue it with `spikemnist stdp --resume --out run`" in message
    spikemnist("stdp", "--resume", "--out", "run", cwd=tmp_path)
    assert (tmp_path / "run/metrics.csv").read_bytes() == (folder / "metrics.csv").read_bytes()


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
        ("stdp --resume --neurons 31 --out run", "classifier.n_neurons was 30, is 31"),
        ("stdp --resume --seed 4 --out run", "classifier.random_state was 0, is 4"),
        ("train --resume --out run", "run is a run of `spikemnist stdp`, not of `train`"),
        ("evaluate run --energy --memory DRAM", "--energy, --memory would do nothing for run, of"),
        ("evaluate run --robustness", "--robustness would do nothing"),
        ("evaluate run --backend reference", "the class STDPClassifier, which has no network"),
        ("evaluate run --batch-size 9 --seed 1", "--batch-size, --seed would do nothing for run"),
        ("plot run --index 3 --seed 1", "--index, --seed would do nothing for run, of the class"),
        ("predict run 8.png --gif --out .", "--gif, --out would do nothing for run, of the class"),
        ("export run", "to_html takes a Classifier, a network with its encoder"),
    ],
)
def test_wrong_requests(words: str, message: str, folder: Path) -> None:
    assert message in error(*words.split(), cwd=folder.parent)


def test_predict(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(load_digits()[1].images[0].numpy()).save(tmp_path / "digit.png")
    decision = STDPClassifier.load(folder / "model.safetensors").decide(tmp_path / "digit.png")
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
    message = error("stdp", "--resume", "--out", "run", cwd=tmp_path)
    assert message == "--resume would do nothing with --features; leave it out"
    (again,) = answers("evaluate", "run", cwd=tmp_path)
    assert metrics(again) == metrics(result)
    (drawn,) = answers("plot", "run", "--out", "pictures", cwd=tmp_path)
    assert {Path(path).name for path in drawn["written"]} == pictures
    classifier = ConvSTDPClassifier.load(tmp_path / "run" / "model.safetensors")
    assert (classifier.n_features, classifier.random_state) == (8, 1)
    _, test = load_digits()
    counts = classifier.count_features(test.images)  # of each feature in each cell of an image
    spikes = result["test"]["spikes_per_sample"]
    assert spikes == {"features": pytest.approx((counts > 0).sum() / len(counts))}

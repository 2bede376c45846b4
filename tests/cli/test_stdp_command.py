"""``spikemnist stdp``."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from spikemnist.cli import main
from spikemnist.data import load_digits, prepare_image
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from tests.cli.command import environment, spikemnist

pytestmark = pytest.mark.slow

PICTURES = {"assignments", "confusion", "receptive_fields", "running_accuracy", "thresholds"}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a run, and its output."""
    folder = tmp_path_factory.mktemp("stdp")
    words = ("--neurons", 30, "--passes", 2, "--out", "run")
    return folder / "run", spikemnist("stdp", *words, cwd=folder).stdout


def metrics(output: str) -> list[str]:
    """Return the lines of an evaluation that do not depend on the clock."""
    return [line for line in output.splitlines()[:5] if not line.startswith("time")]


def test_a_finished_run_resumes_to_the_same_files(
    learned: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(learned[0], folder)
    (folder / "metrics.csv").unlink()
    assert main(["stdp", "--resume", "--out", str(folder)]) == 0
    assert metrics(capsys.readouterr().out) == metrics(learned[1])
    for name in ("metrics.csv", "model.safetensors"):
        assert (folder / name).read_bytes() == (learned[0] / name).read_bytes()


def test_the_files_of_a_run(learned: tuple[Path, str]) -> None:
    folder, output = learned
    files = {file.name for file in folder.iterdir()}
    assert files == {
        *(f"{name}.png" for name in PICTURES),
        *("config.json", "metrics.csv", "model.safetensors"),
    }
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["command"], config["neurons"], config["theta_plus"]) == ("stdp", 30, None)
    with (folder / "metrics.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 16
    assert 600 < int(rows[0]["images"]) < int(rows[-1]["images"]) <= 10_000
    assert float(rows[0]["accuracy"]) < float(rows[-1]["accuracy"])
    assert "learned with      --theta-plus 0.0075, learning rate 0.01\n" in output
    assert float(output.split()[1].rstrip("%")) > 60
    assert "of 1,000 test images of digits" in output
    assert STDPClassifier.load(folder / "model.safetensors").n_images_seen_ == 10_000


def test_evaluate_prints_the_same(learned: tuple[Path, str]) -> None:
    folder, output = learned
    for source in (folder, folder / "model.safetensors"):
        again = spikemnist("evaluate", source, cwd=folder).stdout
        assert metrics(again) == metrics(output)
        assert len(again.splitlines()) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "--neurons", 31, "--out", "run"), "--neurons was 30, is 31"),
        (("--out", "run"), "run exists already and is never overwritten"),
        (("--resume",), "--resume needs --out"),
        (("--neurons", 0), "--neurons must be a whole number from 1 to 1,000,000; got 0"),
        (("--data", "nmnist"), "Invalid choice"),
        (("--theta-plus", -1), "--theta-plus must be a number from 0 to 1,000; got -1"),
        (("--features", 0), "--features must be a whole number from 1 to 1,000,000; got 0"),
        (("--features", 8, "--neurons", 9), "--neurons cannot be combined with --features"),
        (("--features", 8, "--voting", "assigned"), "--voting cannot be combined"),
    ],
)
def test_wrong_requests(words: tuple[object, ...], message: str, learned: tuple[Path, str]) -> None:
    result = spikemnist("stdp", *words, cwd=learned[0].parent, code=2)
    assert message in result.stderr


def test_a_run_of_train_cannot_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"command": "train"}', encoding="utf-8")
    result = spikemnist("stdp", "--resume", "--out", tmp_path, cwd=tmp_path, code=2)
    assert "is a run of `spikemnist train`, not of `stdp`" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "--energy", "--memory", "DRAM"), "--energy, --memory cannot be used with"),
        (("evaluate", "--robustness"), "--robustness cannot be used with"),
        (("evaluate", "--backend", "reference"), "class STDPClassifier, which has no network"),
        (("plot", "--index", "3"), "--index cannot be used with"),
        (("export",), "to_html takes a Classifier, a network with its encoder"),
        (("predict", "8.png", "--gif"), "--gif cannot be used with"),
    ],
)
def test_options_that_do_not_apply_to_a_run_of_stdp(
    words: tuple[str, ...],
    message: str,
    learned: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, *options = words
    Image.fromarray(load_digits()[1].images[0].numpy()).save(learned[0].parent / "8.png")
    monkeypatch.chdir(learned[0].parent)
    assert main([command, "run", *options]) == 2
    assert message in capsys.readouterr().err


def test_predict(
    learned: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.fromarray(load_digits()[1].images[0].numpy()).save(tmp_path / "digit.png")
    image = prepare_image(tmp_path / "digit.png").unsqueeze(0)
    monkeypatch.chdir(tmp_path)
    classifier = STDPClassifier.load(learned[0] / "model.safetensors")
    scores = classifier.decision_function(image)[0]
    first, second = (-scores).argsort(kind="stable")[:2]
    assert main(["predict", str(learned[0]), "digit.png"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"digit.png: {first}   second choice {second}\n")
    assert printed.endswith(f"  spikes    neurons {classifier.count_spikes(image).sum()}\n")
    assert [file.name for file in tmp_path.iterdir()] == ["digit.png"]


def test_plot_draws_the_pictures_of_a_run_again(
    learned: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = learned
    assert main(["plot", str(folder), "--out", str(tmp_path)]) == 0
    assert {Path(line).stem for line in capsys.readouterr().out.split()} == PICTURES
    for name in PICTURES:
        first, again = (imread(where / f"{name}.png") for where in (folder, tmp_path))
        assert np.array_equal(first, again), name


@pytest.mark.parametrize("command", ["plot", "evaluate", "export"])
def test_a_run_without_a_model_can_be_continued(
    command: str, learned: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_bytes((learned[0] / "config.json").read_bytes())
    assert main([command, str(tmp_path)]) == 2
    assert "has no model.safetensors, because the run has not finished" in capsys.readouterr().err


def test_features_through_all_commands(tmp_path: Path) -> None:
    output = spikemnist("stdp", "--features", 8, "--seed", 1, "--out", "run", cwd=tmp_path).stdout
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert files == {
        "config.json",
        "model.safetensors",
        *("receptive_fields.png", "confusion.png"),
    }
    assert float(output.split()[1].rstrip("%")) > 80
    pattern = r"spikes per image  features ([\d.]+)\n"
    assert (match := re.search(pattern, output)) is not None
    again = spikemnist("evaluate", "run", cwd=tmp_path).stdout
    assert metrics(again) == metrics(output)[:3]
    drawings = spikemnist("plot", "run", "--out", "pictures", cwd=tmp_path).stdout.split()
    assert {Path(file).name for file in drawings} == {"receptive_fields.png", "confusion.png"}
    classifier = ConvSTDPClassifier.load(tmp_path / "run" / "model.safetensors")
    assert (classifier.n_features, classifier.random_state) == (8, 1)
    _, test = load_digits()
    counts = classifier.count_features(test.images)  # of each feature in each cell of an image
    assert float(match[1]) == pytest.approx((counts > 0).sum() / len(counts), abs=0.05)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl-C for one process alone")
def test_ctrl_c_and_resume_end_at_the_same_model(learned: tuple[Path, str], tmp_path: Path) -> None:
    words = ("stdp", "--neurons", "30", "--passes", "2", "--out", "run")
    process = subprocess.Popen(
        [sys.executable, "-m", "spikemnist", *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    model = tmp_path / "run" / "model.safetensors"
    while not model.exists():  # the first pass has ended
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted after 1 of 2 passes, which are saved" in output
    assert "continue with  spikemnist stdp --resume --out run" in output
    spikemnist("stdp", "--resume", "--out", "run", cwd=tmp_path)
    assert model.read_bytes() == (learned[0] / "model.safetensors").read_bytes()

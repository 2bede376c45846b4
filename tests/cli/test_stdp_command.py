"""``spikemnist stdp``, in processes of its own."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from command import environment, spikemnist

from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = {"assignments", "confusion", "receptive_fields", "running_accuracy", "thresholds"}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a run, and what it said."""
    folder = tmp_path_factory.mktemp("stdp")
    words = ("--neurons", 30, "--theta-plus", 0.02, "--out", "run")
    return folder / "run", spikemnist("stdp", *words, cwd=folder).stdout


def test_what_a_run_leaves_behind(learned: tuple[Path, str]) -> None:
    folder, said = learned
    found = {file.name for file in folder.iterdir()}
    assert found == {
        *(f"{name}.png" for name in PICTURES),
        *("config.json", "metrics.csv", "model.safetensors", "checkpoint.safetensors"),
    }
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["command"], config["neurons"], config["theta_plus"]) == ("stdp", 30, 0.02)
    with (folder / "metrics.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["images"] for row in rows] == ["4096"]
    assert float(said.split()[2].rstrip("%")) > 60
    assert "of 1,000 images" in said
    assert STDPClassifier.load(folder / "model.safetensors").n_images_seen_ == 5000


def test_evaluate_says_the_same_in_another_process(learned: tuple[Path, str]) -> None:
    folder, said = learned
    assert spikemnist("evaluate", folder, cwd=folder).stdout == "".join(said.splitlines(True)[:3])


def test_a_finished_run_resumes_to_the_same(learned: tuple[Path, str]) -> None:
    folder, said = learned
    before = (folder / "model.safetensors").read_bytes()
    again = spikemnist("stdp", "--resume", "--out", folder, cwd=folder).stdout
    assert again.splitlines()[:3] == said.splitlines()[:3]
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "--neurons", 31, "--out", "run"), "--neurons was 30, is 31"),
        (("--out", "run"), "run exists already and is never overwritten"),
        (("--resume",), "--resume needs --out"),
        (("--neurons", 0), "--neurons must be a whole number from 1 to 1,000,000; got 0"),
        (("--data", "nmnist"), "--data nmnist has no images"),
        (("--theta-plus", -1), "--theta-plus must be a number from 0 to 1,000; got -1"),
        (("--features", 0), "--features must be a whole number from 1 to 1,000,000; got 0"),
        (("--features", 8, "--neurons", 9), "--neurons is of neurons that see whole images"),
        (("--features", 8, "--voting", "assigned"), "--voting is of neurons that see whole images"),
    ],
)
def test_wrong_requests(words: tuple[object, ...], message: str, learned: tuple[Path, str]) -> None:
    result = spikemnist("stdp", *words, cwd=learned[0].parent, code=2)
    assert message in result.stderr


def test_commands_know_whose_run_it_is(learned: tuple[Path, str], run: Path) -> None:
    folder, _ = learned
    result = spikemnist("plot", folder, cwd=folder, code=2)
    assert "is a run of `spikemnist stdp`, not of `train`" in result.stderr
    result = spikemnist("stdp", "--resume", "--out", run, cwd=folder, code=2)
    assert "is a run of `spikemnist train`, not of `stdp`" in result.stderr
    result = spikemnist("evaluate", folder, "--energy", cwd=folder, code=2)
    assert "it takes no --energy" in result.stderr


def test_features_are_learned_judged_and_found_again(tmp_path: Path) -> None:
    said = spikemnist("stdp", "--features", 8, "--seed", 1, "--out", "run", cwd=tmp_path).stdout
    found = {file.name for file in (tmp_path / "run").iterdir()}
    assert found == {
        "config.json",
        "model.safetensors",
        *("receptive_fields.png", "confusion.png"),
    }
    assert float(said.split()[2].rstrip("%")) > 80
    assert "features appear   in " in said
    again = spikemnist("evaluate", "run", cwd=tmp_path).stdout
    assert again == "".join(said.splitlines(True)[:2])
    classifier = ConvSTDPClassifier.load(tmp_path / "run" / "model.safetensors")
    assert (classifier.n_features, classifier.random_state) == (8, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl-C for one process alone")
def test_ctrl_c_and_resume_end_where_an_undisturbed_run_does(
    learned: tuple[Path, str], tmp_path: Path
) -> None:
    words = ("stdp", "--neurons", "30", "--theta-plus", "0.02", "--out", "run")
    process = subprocess.Popen(
        [sys.executable, "-m", "spikemnist", *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    while not (tmp_path / "run" / "checkpoint.safetensors").exists():  # it has begun
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "continue with  spikemnist stdp --resume --out run" in said
    spikemnist("stdp", "--resume", "--out", "run", cwd=tmp_path)
    resumed = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert resumed == (learned[0] / "model.safetensors").read_bytes()

"""``spikemnist train``, end to end, killed and interrupted."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spikemnist import __version__
from spikemnist.cli import main
from spikemnist.cli.options import Train
from spikemnist.cli.parser import parse
from spikemnist.cli.recipes import RECIPES
from spikemnist.models import load_model, model_metadata
from spikemnist.training.checkpoint import load_checkpoint
from tests.cli.command import environment, spikemnist

pytestmark = pytest.mark.slow

FILES = {"config.json", "metrics.csv", "model.safetensors", "checkpoint.pt"}
PICTURES = {"training.png", "confusion.png", "encoding.png", "decision.png"}


def test_train_without_arguments_does_the_whole_job(tmp_path: Path) -> None:
    result = spikemnist("train", cwd=tmp_path)
    accuracy = re.search(r"test accuracy +([\d.]+)% of 1,000 images", result.stdout)
    assert accuracy is not None, result.stdout
    assert float(accuracy[1]) >= 94
    (folder,) = (tmp_path / "runs").iterdir()
    assert {file.name for file in folder.iterdir()} == FILES | PICTURES
    for word in ("spikes per image", "backend event_driven", folder.name, "--data mnist"):
        assert word in result.stdout
    # A line for each epoch, no warning.
    row = r"epoch {:2}/10  loss \d\.\d{{4}}  accuracy +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.fullmatch("".join(row.format(epoch) for epoch in range(1, 11)), result.stderr)

    spikemnist("train", "--epochs", 1, "--hidden", 8, "--batch-size", 1000, cwd=tmp_path)
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_the_run_folder_holds_what_it_says(run: Path) -> None:
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["version"] == __version__
    assert (config["hidden"], config["epochs"], config["seed"]) == ([40], 3, 3)
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["accuracy"]) > float(rows[0]["accuracy"])
    assert load_model(run / "model.safetensors").sizes == {"hidden 1": 40, "output": 10}
    assert model_metadata(run / "model.safetensors")["encoder"]["name"] == "latency"
    for picture in PICTURES:
        assert (run / picture).read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_files(run: Path, tmp_path: Path) -> None:
    words = ("--hidden", 40, "--epochs", 3, "--seed", 3, "--out", "again")
    spikemnist("train", *words, cwd=tmp_path)
    for name in ("metrics.csv", "model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


def test_every_option_of_neurons_and_learning_arrives(tmp_path: Path) -> None:
    neuron = ("--beta", 0.8, "--threshold", 0.7, "--reset", "zero", "--spike-grad", "sigmoid")
    neuron += ("--learn-beta", "--learn-threshold", "--readout", "spike_count")
    learning = (
        "--spike-penalty",
        1e-4,
        "--label-smoothing",
        0.1,
        "--optimizer",
        "adamw",
        "--schedule",
        "cosine",
    )
    learning += ("--weight-decay", 0.01, "--augment", "affine", "erase", "--dropout", 0.1)
    learning += ("--input-dropout", 0.2, "--ema", 0.9, "--validation", 0.1, "--patience", 1)
    words = (*neuron, *learning, "--hidden", 20, "--epochs", 3, "--lr", 0.001, "--out", "run")
    result = spikemnist("train", *words, cwd=tmp_path)
    assert re.search(r"after epoch \d, the best by validation, of \d epoch", result.stdout)
    line = r"accuracy +[\d.]+%  validation +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.search(line, result.stderr)
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert checkpoint.average is not None
    wanted = {
        "model.reset_mechanism": "zero",
        "model.spike_grad": "Sigmoid(slope=25.0)",
        "model.dropout": 0.1,
        "model.input_dropout": 0.2,
        "model.readout": "spike_count",
        "loss": "Regularized(loss=SmoothedCrossEntropy(smoothing=0.1), "
        "penalties=(L1Spikes(strength=0.0001, layers=hidden)))",
        "optimizer": "adamw",
        "schedule": "cosine",
        "weight_decay": 0.01,
        "ema": 0.9,
        "validation": 0.1,
        "patience": 1,
    }
    assert wanted.items() <= checkpoint.settings.items()
    assert str(checkpoint.settings["augment"]).count("Random") == 2
    leaky = load_model(tmp_path / "run" / "model.safetensors").layers[0].leaky
    assert 0.7 < leaky.beta.item() < 0.9
    assert 0.6 < leaky.threshold.item() < 0.8
    assert isinstance(leaky.threshold, torch.nn.Parameter)
    again = spikemnist("train", "--resume", "--out", "run", cwd=tmp_path)
    assert again.stdout.splitlines()[0] == result.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--augment", "affine", "--data", "nmnist"), "--augment changes images; recordings"),
        (("--label-smoothing", "0.1", "--loss", "spike_time_mse"), "--label-smoothing needs"),
        (("--patience", "3"), "--patience needs --validation, for example --validation 0.1"),
        (("--beta", "1.5"), "--beta must be a number from 0 to 1; got 1.5"),
        (("--validation", "0"), "--validation must be a number between 0 and 1; got 0"),
        (("--weight-decay", "-1"), "--weight-decay must be a finite number, at least 0; got -1"),
        (("--augment", "flip"), "--augment must be"),
        (("--recipe", "fast", "--model", "conv"), "--recipe fast needs --model mlp; got conv"),
        (("--recipe", "accurate", "--data", "nmnist"), "--recipe accurate is for images"),
        (("--stabilize",), "--first-saccade, --stabilize and --drop-events need --data nmnist"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "model"), [(name, model) for name, models in RECIPES.items() for model in models]
)
def test_a_recipe_is_one_word_and_options_beside_it_come_first(name: str, model: str) -> None:
    words = ["train", "--recipe", name, "--model", model]
    assert parse(words) == replace(RECIPES[name][model], recipe=name)
    command = parse([*words, "--epochs", "2", "--augment", "erase", "--data", "fashion_mnist"])
    assert isinstance(command, Train)
    assert (command.epochs, command.learning.augment) == (2, ("erase",))
    assert (command.hidden, command.layers, command.lr) == (
        RECIPES[name][model].hidden,
        RECIPES[name][model].layers,
        RECIPES[name][model].lr,
    )


def test_a_recipe_runs(tmp_path: Path) -> None:
    said = spikemnist("train", "--recipe", "sparse", "--epochs", 1, "--out", "run", cwd=tmp_path)
    assert "weights           after the last of 1 epoch\n" in said.stdout
    assert load_model(tmp_path / "run" / "model.safetensors").readout == "first_spike"


@pytest.mark.parametrize("rows", [0, 2])
def test_a_killed_run_resumes_to_the_same_bits(run: Path, tmp_path: Path, rows: int) -> None:
    process = start_training("killed", cwd=tmp_path)
    folder = tmp_path / "killed"
    wait_for_rows(folder, rows, process)
    process.kill()
    process.communicate()
    assert not (folder / "model.safetensors").exists()

    spikemnist("train", "--resume", "--out", "killed", cwd=tmp_path)
    ours, theirs = (load_file(f / "model.safetensors") for f in (folder, run))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (folder / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone there")
def test_ctrl_c_saves_and_says_how_to_go_on(run: Path, tmp_path: Path) -> None:
    process = start_training("stopped", cwd=tmp_path)
    wait_for_rows(tmp_path / "stopped", 1, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert re.fullmatch(r"(epoch [12]/3  .* s\n){1,2}", err)
    assert re.match(r"interrupted after [12] of 3 epochs, which are saved\n", out)
    assert "spikemnist train --resume --out stopped" in out

    spikemnist("train", "--resume", "--out", "stopped", cwd=tmp_path)
    assert (tmp_path / "stopped" / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()


def start_training(out: str, cwd: Path) -> subprocess.Popen[str]:
    """Start what the fixture ``run`` ran, and do not wait for it."""
    words = ("--hidden", "40", "--epochs", "3", "--seed", "3", "--out", out)
    return subprocess.Popen(
        [sys.executable, "-m", "spikemnist", "train", *words],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def wait_for_rows(folder: Path, rows: int, process: subprocess.Popen[str]) -> None:
    """Wait until the configuration is written and ``metrics.csv`` has so many epochs."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        metrics = folder / "metrics.csv"
        lines = metrics.read_text(encoding="utf-8").count("\n") if metrics.exists() else 1
        if (folder / "config.json").exists() and lines - 1 >= rows:
            return
        time.sleep(0.005)
    raise AssertionError(f"the run ended before {rows} epochs were seen")


def test_resuming_a_finished_run_changes_nothing(run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    result = spikemnist("train", "--resume", "--out", run, cwd=run.parent)
    assert "3 epochs" in result.stdout
    assert (run / "model.safetensors").read_bytes() == before


def test_a_run_is_never_overwritten(run: Path) -> None:
    before = {file: file.read_bytes() for file in run.iterdir()}
    result = spikemnist("train", "--out", run, cwd=run.parent, code=2)
    assert "never overwritten. Add --resume" in result.stderr
    assert {file: file.read_bytes() for file in run.iterdir()} == before


def test_resuming_with_other_options_is_refused_by_name(run: Path) -> None:
    words = ("--resume", "--out", run, "--lr", 0.1, "--hidden", 40, "--encoder", "rate")
    result = spikemnist("train", *words, cwd=run.parent, code=2)
    assert "--lr was 0.01, is 0.1" in result.stderr
    assert "--encoder was latency, is rate" in result.stderr
    assert "hidden" not in result.stderr


def test_after_a_loss_of_nan_in_the_first_epoch_the_messages_name_the_way_on(
    tmp_path: Path,
) -> None:
    words = ("train", "--hidden", 8, "--out", "run")
    spikemnist(*words, "--lr", 1e38, cwd=tmp_path, code=1)
    for more in ((), ("--resume",)):
        result = spikemnist(*words, "--lr", 0.01, *more, cwd=tmp_path, code=2)
        assert "choose another --out or delete the folder\n" in result.stderr


def test_a_damaged_checkpoint_is_a_failure_that_touches_nothing(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_bytes((run / "config.json").read_bytes())
    (folder / "checkpoint.pt").write_bytes(b"not a checkpoint")
    result = spikemnist("train", "--resume", "--out", folder, cwd=tmp_path, code=1)
    assert "checkpoint.pt is damaged, or not a checkpoint of spikemnist. Delete" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (folder / "checkpoint.pt").read_bytes() == b"not a checkpoint"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_disk_that_is_full_is_named_with_the_file(tmp_path: Path) -> None:
    """Before the first epoch. Python ignores the signal of the limit, and writing fails."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        said = spikemnist("train", "--out", "run", cwd=tmp_path, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    reason = os.strerror(errno.EFBIG)
    path = Path("run", "checkpoint.pt")
    assert said.stderr == f"spikemnist: error: [Errno {errno.EFBIG}] {reason}: '{path}'\n"
    assert not (tmp_path / "run").exists()  # nothing to continue from stands in the way


def test_a_convolutional_network_goes_the_whole_way(tmp_path: Path) -> None:
    """With defaults of its own, beside which options win; and then through the other commands."""
    words = ("--model", "conv", "--layers", "4C5-P2-6C5-P2-10", "--epochs", 2, "--out", "run")
    result = spikemnist("train", *words, cwd=tmp_path)
    accuracy = re.search(r"test accuracy +([\d.]+)% of 1,000 images", result.stdout)
    assert accuracy is not None, result.stdout
    assert float(accuracy[1]) >= 90
    config = json.loads((tmp_path / "run/config.json").read_text(encoding="utf-8"))
    assert (config["encoder"], config["batch_norm"], config["epochs"]) == ("direct", True, 2)
    sizes = {"hidden 1": 576, "hidden 2": 96, "output": 10}
    assert load_model(tmp_path / "run/model.safetensors").sizes == sizes
    assert f"accuracy          {accuracy[1]}%" in spikemnist("evaluate", "run", cwd=tmp_path).stdout
    drawn = spikemnist("plot", "run", cwd=tmp_path).stdout.split()
    assert len(drawn) == 8
    again = spikemnist("train", "--resume", "--out", "run", cwd=tmp_path)
    assert accuracy[0] in again.stdout


def test_the_backends_agree(tmp_path: Path) -> None:
    rows = []
    for backend in ("reference", "snntorch"):
        words = ("--hidden", 40, "--epochs", 1, "--batch-size", 250, "--backend", backend)
        said = spikemnist("train", *words, "--out", backend, cwd=tmp_path).stdout
        assert f"backend {backend}" in said
        with (tmp_path / backend / "metrics.csv").open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file)
    # Sums in another order flip a spike here and there, and 20 steps of Adam carry that on.
    assert float(rows[0]["loss"]) == pytest.approx(float(rows[1]["loss"]), rel=0.02)

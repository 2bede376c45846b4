"""``spikemnist train``: whole runs, killed, interrupted and resumed ones."""

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

from spikemnist import __version__, load
from spikemnist.cli.options import Train
from spikemnist.cli.parser import parse
from spikemnist.cli.recipes import options_of
from spikemnist.encoding import LatencyEncoder
from spikemnist.training import recipes
from spikemnist.training.checkpoint import load_checkpoint
from tests.cli.command import environment, spikemnist

pytestmark = pytest.mark.slow

FILES = {"config.json", "metrics.csv", "model.safetensors", "checkpoint.pt"}
PICTURES = {"training.png", "confusion.png", "encoding.png", "decision.png"}


def test_train_without_arguments(tmp_path: Path) -> None:
    output = spikemnist("train", cwd=tmp_path)
    accuracy = re.search(r"test accuracy +([\d.]+)% of 1,000 images", output.stdout)
    assert accuracy is not None, output.stdout
    assert float(accuracy[1]) >= 94
    (folder,) = (tmp_path / "runs").iterdir()
    assert {file.name for file in folder.iterdir()} == FILES | PICTURES
    for words in ("spikes per image", "backend event_driven", folder.name):
        assert words in output.stdout
    # A line for each epoch, no warning.
    row = r"epoch {:2}/10  loss \d\.\d{{4}}  accuracy +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.fullmatch("".join(row.format(epoch) for epoch in range(1, 11)), output.stderr)


def test_contents_of_the_run_folder(run: Path) -> None:
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["version"] == __version__
    assert (config["hidden"], config["epochs"], config["seed"]) == ([40], 3, 3)
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["accuracy"]) > float(rows[0]["accuracy"])
    classifier = load(run)
    assert classifier.network.sizes == {"hidden 1": 40, "output": 10}
    assert classifier.encoder == LatencyEncoder(num_steps=8)
    for picture in PICTURES:
        assert (run / picture).read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_files(run: Path, tmp_path: Path) -> None:
    words = ("--hidden", 40, "--epochs", 3, "--seed", 3, "--out", "again")
    spikemnist("train", *words, cwd=tmp_path)
    for name in ("metrics.csv", "model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


def test_every_option_arrives(tmp_path: Path) -> None:
    words = (
        "train --beta 0.8 --threshold 0.7 --reset-mechanism zero --spike-grad sigmoid --learn-beta "
        "--learn-threshold --readout spike_count --spike-penalty 1e-4 --label-smoothing 0.1 "
        "--optimizer adamw --schedule cosine --weight-decay 0.01 --augment affine erase "
        "--dropout 0.1 --input-dropout 0.2 --ema 0.9 --validation 0.1 --patience 1 --hidden 20 "
        "--epochs 3 --lr 0.001 --backend reference --out run"
    )
    output = spikemnist(*words.split(), cwd=tmp_path)
    assert re.search(r"after epoch \d, the best by validation, of \d epoch", output.stdout)
    assert "backend reference" in output.stdout
    line = r"accuracy +[\d.]+%  validation +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.search(line, output.stderr)
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert checkpoint.average is not None
    expected = {
        "model.reset_mechanism": "zero",
        "model.spike_grad": "Sigmoid(slope=25.0)",
        "model.dropout": 0.1,
        "model.input_dropout": 0.2,
        "model.readout": "spike_count",
        "loss": "cross_entropy",
        "spike_penalty": 1e-4,
        "label_smoothing": 0.1,
        "augment": "(affine, erase)",
        "optimizer": "adamw",
        "schedule": "cosine",
        "weight_decay": 0.01,
        "ema": 0.9,
        "validation": 0.1,
        "patience": 1,
    }
    assert expected.items() <= checkpoint.settings.items()
    leaky = load(tmp_path / "run").network.layers[0].leaky
    assert 0.7 < leaky.beta.item() < 0.9
    assert 0.6 < leaky.threshold.item() < 0.8
    assert isinstance(leaky.threshold, torch.nn.Parameter)


@pytest.mark.parametrize(
    ("name", "model"), [key for key in recipes if key[0] not in ("default", "events")]
)
def test_options_override_a_recipe(name: str, model: str) -> None:
    recipe = options_of(recipes[name, model], "digits")
    words = ["train", "--recipe", name, "--model", model]
    assert parse(words) == replace(recipe, recipe=name)
    command = parse([*words, "--epochs", "2", "--augment", "erase", "--data", "fashion_mnist"])
    assert isinstance(command, Train)
    learning = replace(recipe.learning, augment=("erase",))
    given = {"recipe": name, "epochs": 2, "data": "fashion_mnist", "learning": learning}
    assert command == replace(recipe, **given)


def test_a_recipe_runs(tmp_path: Path) -> None:
    words = ("--recipe", "sparse", "--epochs", 1, "--hidden", 20, "--out", "run")
    printed = spikemnist("train", *words, cwd=tmp_path).stdout
    assert "weights           after the last of 1 epoch\n" in printed
    assert load(tmp_path / "run").network.config["readout"] == "first_spike"


def test_a_convolutional_network(tmp_path: Path) -> None:
    words = ("--model", "conv", "--layers", "4C5-P2-6C5-P2-10", "--epochs", 2, "--out", "run")
    printed = spikemnist("train", *words, cwd=tmp_path).stdout
    accuracy = re.search(r"test accuracy +([\d.]+)% of 1,000 images", printed)
    assert accuracy is not None, printed
    assert float(accuracy[1]) >= 90
    config = json.loads((tmp_path / "run/config.json").read_text(encoding="utf-8"))
    assert (config["encoder"], config["batch_norm"], config["epochs"]) == ("direct", True, 2)
    sizes = {"hidden 1": 576, "hidden 2": 96, "output": 10}
    assert load(tmp_path / "run").network.sizes == sizes
    assert f"accuracy          {accuracy[1]}%" in spikemnist("evaluate", "run", cwd=tmp_path).stdout


@pytest.mark.filterwarnings("default:layer 'hidden 1' did not fire")
def test_warnings_are_one_line(tmp_path: Path) -> None:
    # One timestep and two neurons of first weights: too few spikes for them to fire.
    words = ("--num-steps", 1, "--hidden", 2, "--epochs", 1, "--batch-size", 5000, "--lr", 1e-9)
    warning, epoch = spikemnist("train", *words, cwd=tmp_path).stderr.splitlines()
    assert warning.startswith("spikemnist: warning: layer 'hidden 1' did not fire once")
    assert epoch.startswith("epoch 1/1  loss ")


def test_a_killed_run_resumes_to_the_same_bits(run: Path, tmp_path: Path) -> None:
    process = start_training("killed", cwd=tmp_path)
    folder = tmp_path / "killed"
    wait_for_rows(folder, 2, process)
    process.kill()
    process.communicate()
    assert not (folder / "model.safetensors").exists()

    spikemnist("train", "--resume", "--out", "killed", cwd=tmp_path)
    resumed, expected = (load_file(f / "model.safetensors") for f in (folder, run))
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert (folder / "metrics.csv").read_bytes() == (run / "metrics.csv").read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent Ctrl-C alone there")
def test_ctrl_c_saves_the_run(run: Path, tmp_path: Path) -> None:
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
    """Start the training of the fixture ``run``, and do not wait for it."""
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
    """Wait until ``metrics.csv`` has so many epochs."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        metrics = folder / "metrics.csv"
        if metrics.exists() and metrics.read_text(encoding="utf-8").count("\n") > rows:
            return
        time.sleep(0.005)
    raise AssertionError(f"the run ended before {rows} epochs were written")


def test_resuming_a_finished_run_changes_nothing(run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    output = spikemnist("train", "--resume", "--out", run, cwd=run.parent)
    assert "3 epochs" in output.stdout
    assert (run / "model.safetensors").read_bytes() == before


def test_a_run_is_never_overwritten(run: Path) -> None:
    before = {file: file.read_bytes() for file in run.iterdir()}
    output = spikemnist("train", "--out", run, cwd=run.parent, code=2)
    assert "never overwritten. Add --resume" in output.stderr
    assert {file: file.read_bytes() for file in run.iterdir()} == before


def test_resuming_with_other_options_is_refused(run: Path) -> None:
    words = ("--resume", "--out", run, "--lr", 0.1, "--hidden", 40, "--encoder", "rate")
    output = spikemnist("train", *words, cwd=run.parent, code=2)
    assert "--lr was 0.01, is 0.1" in output.stderr
    assert "--encoder was latency, is rate" in output.stderr
    assert "hidden" not in output.stderr


def test_a_diverging_run(tmp_path: Path) -> None:
    words = ("train", "--hidden", 8, "--out", "run")
    output = spikemnist(*words, "--lr", 1e38, cwd=tmp_path, code=1)
    assert "the loss became" in output.stderr
    for more in ((), ("--resume",)):
        output = spikemnist(*words, "--lr", 0.01, *more, cwd=tmp_path, code=2)
        assert "choose another --out or delete the folder\n" in output.stderr


def test_a_damaged_checkpoint_is_named_and_not_replaced(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_bytes((run / "config.json").read_bytes())
    (folder / "checkpoint.pt").write_bytes(b"not a checkpoint")
    output = spikemnist("train", "--resume", "--out", folder, cwd=tmp_path, code=1)
    assert "checkpoint.pt is damaged, or not a checkpoint of spikemnist" in output.stderr
    assert output.stderr.count("\n") == 1
    assert (folder / "checkpoint.pt").read_bytes() == b"not a checkpoint"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    """Python ignores the signal of the limit, and writing fails."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        output = spikemnist("train", "--out", "run", cwd=tmp_path, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    reason = os.strerror(errno.EFBIG)
    path = Path("run", "checkpoint.pt")
    assert output.stderr == f"spikemnist: error: [Errno {errno.EFBIG}] {reason}: '{path}'\n"
    assert not (tmp_path / "run").exists()  # the corrected command may use the folder

"""``spikemnist train``: whole runs, killed, interrupted and resumed ones."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from spikemnist import __version__, load
from spikemnist.cli import parser, train
from spikemnist.encoding import LatencyEncoder
from spikemnist.training import History, recipes
from tests.cli.command import answers, environment, error, fields, spikemnist

pytestmark = pytest.mark.slow

FILES = {"command.json", "config.json", "metrics.csv", "model.safetensors", "checkpoint.pt"}
PICTURES = {"training.png", "confusion.png", "encoding-0.png", "decision-0.png"}


def parse(*words: str) -> parser.Command:
    return parser.parse("train", train, words)


def read(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def test_train_without_arguments(tmp_path: Path) -> None:
    output = spikemnist("train", cwd=tmp_path)
    (folder,) = (tmp_path / "runs").iterdir()
    assert {file.name for file in folder.iterdir()} == FILES | PICTURES
    result = fields(output.stdout)
    assert float(result["accuracy"].split("%")[0]) >= 94
    assert result["test"] == "Evaluation of 1,000 samples, by the backend event_driven"
    assert {*result["files"].split(", ")} == FILES | PICTURES
    path = folder.relative_to(tmp_path)
    assert result["run"] == str(path)
    assert result["next"] == f"spikemnist plot {path}"
    more = [f"predict {path} your-picture.png", f"export {path}"]
    assert output.stdout.endswith("".join(f"\n{'':18}spikemnist {words}" for words in more) + "\n")
    # A line for each epoch, no warning.
    row = r"epoch {:2}/10  loss \d\.\d{{4}}  accuracy +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.fullmatch("".join(row.format(epoch) for epoch in range(1, 11)), output.stderr)


def test_contents_of_the_run_folder(run: Path) -> None:
    command, options = read(run / "command.json"), parse("--hidden", "40", "--epochs", "3")
    assert (command["version"], command["command"]) == (__version__, "train")
    assert command["options"].keys() < vars(options).keys()
    for name, value in {"hidden": [40], "epochs": 3, "seed": 3, "lr": options.lr}.items():
        assert command["options"][name] == value
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
    for name in FILES - {"checkpoint.pt"}:  # it holds times
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


def test_every_option_arrives(tmp_path: Path) -> None:
    words = (
        "train --beta 0.8 --threshold 0.7 --reset-mechanism zero --spike-grad sigmoid --learn-beta "
        "--learn-threshold --readout spike_count --spike-penalty 1e-4 --label-smoothing 0.1 "
        "--optimizer adamw --schedule cosine --weight-decay 0.01 --augment affine erase "
        "--dropout 0.1 --input-dropout 0.2 --ema 0.9 --validation 0.1 --patience 1 --hidden 20 9 "
        "--epochs 2 --batch-size 500 --lr 0.005 --clip-norm 5 --truncate 4 --seed 6 "
        "--initial-rate 0.1 --encoder rate --num-steps 6 --batch-norm --backend reference --out run"
    )
    output = spikemnist(*words.split(), cwd=tmp_path)
    assert fields(output.stdout)["best epoch"] in "12"
    assert "by the backend reference\n" in output.stdout
    line = r"accuracy +[\d.]+%  validation +[\d.]+%  spikes \d+  [\d.]+ s\n"
    assert re.search(line, output.stderr)
    config = read(tmp_path / "run" / "config.json")
    assert config["data"]["validation"] == 0.1
    assert config["settings"] == {
        **{"epochs": 2, "batch_size": 500, "lr": 0.005, "clip_norm": 5, "truncate": 4, "seed": 6},
        **{"loss": "cross_entropy", "spike_penalty": 1e-4, "label_smoothing": 0.1},
        **{"optimizer": "adamw", "schedule": "cosine", "weight_decay": 0.01, "ema": 0.9},
        **{"augment": config["settings"]["augment"], "patience": 1, "initial_rate": 0.1},
    }
    assert re.findall(r"\w+", str(config["settings"]["augment"])) == ["affine", "erase"]
    assert config["classifier"]["encoder"].startswith("RateEncoder(num_steps=6, ")
    network = load(tmp_path / "run").network
    expected = {"hidden": [20, 9], "batch_norm": True, "reset_mechanism": "zero", "dropout": 0.1}
    expected |= {"readout": "spike_count", "input_dropout": 0.2}
    assert expected.items() <= network.config.items()
    leaky = network.layers[0].leaky
    assert 0.7 < leaky.beta.item() < 0.9
    assert 0.6 < leaky.threshold.item() < 0.8
    assert isinstance(leaky.threshold, torch.nn.Parameter)


@pytest.mark.parametrize(("name", "model"), [key for key in recipes if key[0] in train.RECIPES])
def test_options_override_a_recipe(name: str, model: str) -> None:
    words, recipe = ["--recipe", name, "--model", model], recipes[name, model]
    actual = train.recipe_of(parse(*words))
    assert recipe.options.items() <= actual.options.items()
    assert replace(actual, options=recipe.options) == recipe
    command = parse(*words, "--epochs", "2", "--augment", "erase", "--data", "mnist")
    config = replace(recipe.config, epochs=2, augment=("erase",))
    assert train.recipe_of(command) == replace(actual, config=config)
    command = parse(*words, "--augment", "none", "--no-batch-norm", "--batch-size", "64")
    actual = train.recipe_of(command)
    assert actual.config == replace(recipe.config, augment=(), batch_size=64)
    assert not actual.options["batch_norm"]


@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_the_most_accurate_recipe_for_fashion(model: str) -> None:
    words, recipe = ["--recipe", "accurate", "--model", model], recipes["fashion", model]
    actual = train.recipe_of(parse(*words, "--data", "fashion_mnist"))
    assert recipe.options.items() <= actual.options.items()
    assert replace(actual, options=recipe.options) == recipe
    assert train.recipe_of(parse(*words)) != actual


def test_a_convolutional_network(tmp_path: Path) -> None:
    words = ("--model", "conv", "--layers", "4C5-P2-6C5-P2-10", "--epochs", 2, "--out", "run")
    (trained,) = answers("train", *words, cwd=tmp_path)
    assert trained["test"]["accuracy"] >= 0.9
    options = read(tmp_path / "run/command.json")["options"]
    assert (options["encoder"], options["batch_norm"], options["epochs"]) == ("direct", True, 2)
    sizes = {"hidden 1": 576, "hidden 2": 96, "output": 10}
    assert load(tmp_path / "run").network.sizes == sizes
    (tested,) = answers("evaluate", "run", cwd=tmp_path)
    assert tested["test"]["confusion"] == trained["test"]["confusion"]


@pytest.mark.filterwarnings("default:hidden 1 did not fire")
def test_warnings_are_one_line(tmp_path: Path) -> None:
    words = ("--threshold", 50, "--hidden", 2, "--epochs", 1, "--batch-size", 5000, "--lr", 1e-9)
    warning, epoch = spikemnist("train", *words, cwd=tmp_path).stderr.splitlines()
    assert warning.startswith("spikemnist: warning: hidden 1 did not fire in an epoch: diagnose")
    assert epoch.startswith("epoch 1/1  loss ")


def test_a_diagnosis_is_printed_in_place_of_a_training(tmp_path: Path) -> None:
    words = ("train", "--diagnose", "--hidden", 20, "--threshold", 50)
    text = spikemnist(*words, cwd=tmp_path).stdout
    assert text.lstrip().startswith("LeakyMLP of 15,910 parameters, 64 images, 8 timesteps")
    (answer,) = answers(*words, cwd=tmp_path)
    (finding,) = answer["diagnosis"]["findings"]
    assert f"- {finding}" in text
    assert [layer["name"] for layer in answer["diagnosis"]["layers"]] == ["hidden 1", "output"]
    assert not [*tmp_path.iterdir()]


def test_a_killed_run_resumes_to_the_same_bits(run: Path, tmp_path: Path) -> None:
    words = ("--hidden", "40", "--epochs", "3", "--seed", "3", "--out", "killed")
    process = subprocess.Popen(
        [sys.executable, "-m", "spikemnist", "train", *words, "--quiet"],
        cwd=tmp_path,
        env=environment(),
    )
    metrics, deadline = tmp_path / "killed/metrics.csv", time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text(encoding="utf-8").count("\n") > 2):
        assert time.monotonic() < deadline
        assert process.poll() is None, "the run ended before two epochs were written"
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed/model.safetensors").exists()

    spikemnist("train", "--resume", "--out", "killed", cwd=tmp_path)
    for name in FILES - {"checkpoint.pt"}:
        assert (tmp_path / "killed" / name).read_bytes() == (run / name).read_bytes()


def press_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C once so many epochs are written."""
    save = History.save_csv

    def save_and_press(self: History, path: str | Path) -> None:
        save(self, path)
        if len(self) == epochs:
            monkeypatch.setattr(History, "save_csv", save)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(History, "save_csv", save_and_press)


def test_ctrl_c_saves_the_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    press_after(1, monkeypatch)
    words = ("train", "--hidden", 40, "--epochs", 3, "--seed", 3, "--out", "stopped")
    out, err = spikemnist(*words, cwd=tmp_path, code=130)
    assert re.fullmatch(r"epoch 1/3  .* s\n", err)
    assert fields(out)["interrupted"] == "yes"
    assert fields(out)["history"].startswith("History of 1 epoch, ")
    assert fields(out)["next"] == "spikemnist train --resume --out stopped"
    spikemnist("train", "--resume", "--out", "stopped", cwd=tmp_path)
    for name in ("metrics.csv", "model.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (run / name).read_bytes()


def test_a_run_of_a_constant_rate_continues_for_more_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", "--schedule", "constant", "--hidden", 20, "--batch-size", 500)
    spikemnist(*words, "--epochs", 3, "--out", "whole", cwd=tmp_path)
    spikemnist(*words, "--epochs", 1, "--out", "longer", cwd=tmp_path)
    resume = ("train", "--resume", "--out", "longer")
    press_after(2, monkeypatch)
    spikemnist(*resume, "--epochs", 3, cwd=tmp_path, code=130)
    (result,) = answers(*resume, cwd=tmp_path)  # as the interrupted run says
    assert [row["epoch"] for row in result["history"]["epochs"]] == [1, 2, 3]
    for name in ("metrics.csv", "model.safetensors"):
        assert (tmp_path / "longer" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    message = error(*resume, "--epochs", 2, cwd=tmp_path)
    assert "--epochs was 3, is 2. Leave them out" in message


def test_resuming_a_finished_run_changes_nothing(run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    (result,) = answers("train", "--resume", "--out", run, cwd=run.parent)
    assert len(result["history"]["epochs"]) == 3
    assert (run / "model.safetensors").read_bytes() == before


def test_a_run_is_never_overwritten(run: Path) -> None:
    before = {file: file.read_bytes() for file in run.iterdir()}
    assert "never overwritten: add --resume" in error("train", "--out", run, cwd=run.parent)
    assert {file: file.read_bytes() for file in run.iterdir()} == before


def test_resuming_with_other_options_is_refused(run: Path) -> None:
    words = ("--resume", "--out", "run", "--lr", 0.1, "--seed", 3, "--encoder", "rate")
    message = error("train", *words, cwd=run.parent)
    changes = "--encoder was latency, is rate; --lr was 0.01, is 0.1"
    assert message.startswith(f"cannot resume run with other options: {changes}. Leave them out")
    message = error("train", "--resume", "--out", "run", "--recipe", "fast", cwd=run.parent)
    assert message == "--recipe would do nothing with --resume; leave it out"


def test_a_diverging_run_leaves_no_folder(tmp_path: Path) -> None:
    """The corrected command may use it."""
    words = ("train", "--hidden", 8, "--out", "run")
    assert "the loss became" in error(*words, "--lr", 1e38, cwd=tmp_path, code=1)
    assert not any(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_named_and_not_replaced(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/checkpoint.pt").write_bytes(b"not a checkpoint")
    message = error("train", "--resume", "--out", "run", cwd=tmp_path, code=1)
    assert "checkpoint.pt is damaged, or not a checkpoint of spikemnist" in message
    assert (tmp_path / "run/checkpoint.pt").read_bytes() == b"not a checkpoint"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_is_named_with_the_file(tmp_path: Path) -> None:
    """Python ignores the signal of the limit, and writing fails."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        message = error("train", "--out", "run", cwd=tmp_path, code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    path = Path("run", "checkpoint.pt")
    assert message == f"[Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}: '{path}'"
    assert not (tmp_path / "run").exists()  # the corrected command may use the folder

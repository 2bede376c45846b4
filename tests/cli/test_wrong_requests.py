"""Wrong requests and failures: one line on standard error, an exit code, and nothing begun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spikemnist.cli import main
from tests.cli.command import environment


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --lr 0", "--lr must be a positive, finite number; got 0"),
        ("train --lr nan", "--lr must be a positive, finite number; got nan"),
        ("train --epochs 0", "--epochs must be a whole number from 1 to 1,000,000; got 0"),
        ("train --seed -1", "--seed must be a whole number from 0 to"),
        ("train --hidden 512 0", "--hidden must be a whole number from 1 to 1,000,000; got 0"),
        ("train --beta 1.5", "--beta must be a number from 0 to 1; got 1.5"),
        ("train --validation 0", "--validation must be a number between 0 and 1; got 0"),
        ("train --weight-decay -1", "--weight-decay must be a finite number, at least 0; got -1"),
        ("train --drop-events 1", "--drop-events must be a probability in [0, 1)"),
        ("encode --index -1", "--index must be a whole number, at least 0; got -1"),
        ("evaluate run --batch-size 0", "--batch-size must be a whole number from 1 to"),
        ("stdp --neurons 1000000000000", "--neurons must be a whole number from 1 to"),
        ("train --augment affine --data nmnist", "--augment changes images; recordings"),
        ("train --label-smoothing 0.1 --loss spike_time_mse", "--label-smoothing needs"),
        ("train --patience 3", "--patience needs --validation, for example --validation 0.1"),
        ("train --recipe fast --model conv", "--recipe fast needs --model mlp; got conv"),
        ("train --recipe accurate --data nmnist", "--recipe accurate is for images"),
        ("train --stabilize", "--first-saccade, --stabilize and --drop-events need --data nmnist"),
        ("train --model conv --layers 12K5-10", "'12K5' in layers='12K5-10' is none of 12C5"),
        ("train --model conv --layers 12C5-P2-12", "layers must end in 10, a neuron for each"),
        ("train --encoder latncy", "did you mean 'latency'?"),
        ("train --encoder events", "EventEncoder needs an EventBatch"),
        ("train --data nmnist --encoder rate", "which needs an EventEncoder"),
        ("train --device cuda:99", "is not available; choose from"),
        ("train --root data", "--root data does not apply to digits"),
        ("train --resume", "--resume needs --out"),
        ("train --resume --out nowhere", "is not a run folder"),
        ("train --out file.txt", "exists already and is never overwritten"),
        ("evaluate", "spikemnist evaluate needs RUN: run folder, model file, or name of"),
        ("evaluate net", "no model at net: give a run folder, a model file, or one of mnist-conv"),
        ("evaluate mnist-mlp --memory 8KB", "--technology and --memory need --energy"),
        ("evaluate mnist-mlp --out x.png", "--out names the picture of --robustness"),
        (
            "evaluate mnist-mlp --robustness --out x.txt",
            "--out must end in .png, .pdf or .svg; got x.txt",
        ),
        ("plot mnist-mlp --device cuda:99", "--device: "),
        ("plot mnist-mlp --index 1000", "--index must lie in 0..999; got 1000"),
        ("predict mnist-mlp", "predict needs PICTURE"),
        ("encode --out digit.bmp", "--out must end in"),
        ("encode --encoder morse", "--encoder: unknown encoder 'morse'; choose from b"),
        ("encode --encoder burst --num-steps 3", "raise num_steps to 7"),
        ("encode --compare --out codes.npy", "--compare draws a picture"),
        ("encode --compare --data nmnist", "--compare needs images"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    words: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("mine", encoding="utf-8")
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = (line for line in captured.err.splitlines() if "compiling kernels" not in line)
    assert line.startswith("spikemnist: error: ")
    assert message in line
    assert {file.name for file in tmp_path.iterdir()} == {"file.txt"}


@pytest.mark.parametrize(
    "words",
    [
        "trian",
        "train --model mpl",
        "train --epochs",
        "train --dta mnist",
        "train --seed 1.5",
        "predict",
    ],
)
def test_words_that_cannot_be_parsed(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (words.split()[-1] if "-" in words else "spikemnist") in captured.err


def test_a_wrong_request_as_a_process(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "spikemnist", "train", "--epochs", "0"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
    )
    message = "--epochs must be a whole number from 1 to 1,000,000; got 0"
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"spikemnist: error: {message}\n"


def test_a_damaged_model_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"no model")
    assert main(["evaluate", str(file)]) == 1
    error = capsys.readouterr().err
    assert f"{file}" in error
    assert error.count("\n") == 1
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        main(["evaluate", str(file), "--debug"])

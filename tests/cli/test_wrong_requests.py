"""Wrong requests and failures: one line on standard error, an exit code, and nothing begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikemnist.cli import main
from tests.cli.command import error
from tests.rooms import of_rooms


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --epochs 0", "--epochs must be an integer >= 1; got 0"),
        ("train --epochs", "--epochs: expected one argument"),
        ("train --hidden 512 0", "--hidden must be a whole number from 1 to 1,000,000; got '0'"),
        ("train --beta 1.5", "--beta must be in [0, 1]; got 1.5"),
        ("train --validation 1", "--validation must be a number that is at least 0 and below 1"),
        ("train --augment affine none", "--augment: none stands alone; got affine none"),
        ("encode --index -1", "--index must be a whole number, at least 0; got '-1'"),
        ("evaluate run --batch-size 0", "--batch-size must be a whole number, at least 1"),
        ("train --label-smoothing 0.1 --loss spike_time_mse", "--label-smoothing needs the loss"),
        ("train --patience 3", "--patience needs --validation, for example --validation 0.1"),
        ("train --recipe fast --model conv", "--recipe fast needs --model mlp; got conv"),
        ("train --recipe accurate --data nmnist", "--recipe accurate is for images"),
        ("train --model conv --layers 12K5-10", "'12K5' in layers='12K5-10' is none of 12C5"),
        (
            "train --model conv --layers 12C5-P2-12",
            "--layers must end in 10, the number of classes",
        ),
        (
            "train --data nmnist --drop-events 1",
            "--drop-events must be a number that is at least 0",
        ),
        ("train --encoder events", "--encoder events does not read digits"),
        ("train --data nmnist --encoder rate", "--encoder rate does not read nmnist"),
        ("train --backend snntorch --batch-norm", "cannot train with batch norm; add --no-"),
        ("train --batch-norm=1", "--batch-norm/--no-batch-norm takes no value; got '1'"),
        ("train --device cuda:99", "--device 'cuda:99' is not available; choose from cpu"),
        ("train --resume", "--resume needs --out"),
        ("train --resume --out nowhere", "nowhere is not a run folder: it has no config.json"),
        (
            "train --out file.txt",
            "is never overwritten: choose another --out, or delete it",
        ),
        ("evaluate", "spikemnist evaluate needs RUN: run folder, model file, or a pretrained"),
        ("evaluate net", "no model at net: give a run folder, a model file, or one of mnist-conv"),
        ("evaluate mnist-mlp --robustness --out x.txt", "--out must end in .png, .pdf or .svg"),
        ("plot mnist-mlp --device cuda:99", "--device 'cuda:99'"),
        ("plot mnist-mlp --format bmp", "--format: unknown 'bmp'; choose from png, pdf, svg"),
        ("plot mnist-mlp --index 1000", "--index must lie in 0..999; got 1000"),
        ("predict mnist-mlp", "predict needs PICTURE: image file"),
        ("predict net file.txt", "no model at net"),
        ("predict 8.png mnist-mlp", "8.png is a picture: predict needs RUN first, then PICTURE"),
        ("predict mnist-mlp .", ". holds no picture that Pillow reads"),
        ("encode --out digit.bmp", "--out must end in .png, .pdf, .svg or .npy; got digit.bmp"),
        ("encode --encoder morse", "--encoder: unknown encoder 'morse'; choose from b"),
        ("encode --encoder burst --num-steps 3", "raise num_steps to 7"),
        ("encode --compare --out codes.npy", "--out must end in .png, .pdf or .svg; got codes.npy"),
        ("encode --compare --data nmnist", "--compare needs images"),
        # Words that are close to others
        ("trian", "'trian' is no command; did you mean train?"),
        ("help trian", "'trian' is no command; did you mean train?"),
        ("--nonsense", "'--nonsense' is no command; choose from train, "),
        ("train --epoch 3", "spikemnist train has no --epoch; did you mean --epochs?"),
        ("train --no-batch_norm", "has no --no-batch_norm; did you mean --no-batch-norm?"),
        ("train --dta=mnist", "spikemnist train has no --dta; did you mean --data?"),
        ("train now", "spikemnist train has no now"),
        ("train --model mpl", "--model: unknown 'mpl'; did you mean mlp?"),
        ("train --augment affin", "--augment: unknown 'affin'; did you mean affine?"),
        ("train --loss hinge", "--loss: unknown 'hinge'; choose from cross_entropy, spike_time"),
        *of_rooms("WRONG_REQUESTS"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    words: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "file.txt").write_text("mine", encoding="utf-8")
    assert message in error(*words.split(), cwd=tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"file.txt"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train --model conv --hidden 9", "--hidden: with --model conv, which has --layers"),
        ("train --layers 12C5-10", "--layers: without --model conv"),
        (
            "train --first-saccade --drop-events 0.1",
            "--first-saccade, --drop-events: without --data nmnist",
        ),
        (
            "train --data nmnist --augment erase",
            "--augment: for recordings, which have --drop-events",
        ),
        ("train --root .", "--root: for digits, which come with the package"),
        ("evaluate mnist-mlp --root .", "--root: for digits, which come with the package"),
        ("encode --compare --encoder rate", "--encoder: with --compare, which shows every code"),
        ("evaluate mnist-mlp --memory 8KB", "--memory: without --energy"),
        ("evaluate mnist-mlp --technology 45nm-fp32", "--technology: without --energy"),
        ("evaluate mnist-mlp --out x.png", "--out: without --robustness"),
        *of_rooms("IDLE_OPTIONS"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(
    words: str, message: str, tmp_path: Path
) -> None:
    options, _, because = message.partition(": ")
    expected = f"{options} would do nothing {because}; leave it out"
    assert error(*words.split(), cwd=tmp_path) == expected


NUMBERS = ("batch-size", "dropout", "epochs", "hidden", "lr", "num-steps", "seed", "threshold")
NAMES = ("augment", "backend", "data", "encoder", "loss", "model", "schedule")


@pytest.mark.parametrize("option", [*NUMBERS, *NAMES, "epoch", "no-such-option"])
def test_a_wrong_value_is_refused_by_the_name_of_its_option(option: str, tmp_path: Path) -> None:
    """The last two options do not exist."""
    for value in ("x", "", "nan", "inf", "-1", "-1e-9", "1e400", "ü"):
        for words in ([f"--{option}={value}"], [f"--{option}", value]):
            assert f"--{option}" in error("train", *words, cwd=tmp_path), words


def test_a_damaged_model_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"no model")
    assert f"{file}" in error("evaluate", file, cwd=tmp_path, code=1)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        main(["evaluate", str(file), "--debug"])

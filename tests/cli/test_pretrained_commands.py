"""``pretrained:NAME``, several runs, and robustness on the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from spikemnist.cli import main
from spikemnist.data import load_digits
from spikemnist.models import load_model, load_pretrained
from spikemnist.training import evaluate, measure_robustness
from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.cli.options import Evaluate

DIGITS = load_digits()[1]


def test_commands_that_take_a_run_take_a_pretrained_network(tmp_path: Path) -> None:
    model, encoder = load_pretrained("mnist-mlp")
    accuracy = evaluate(model, DIGITS, encoder=encoder).accuracy
    said = spikemnist("evaluate", "pretrained:mnist-mlp", cwd=tmp_path).stdout
    assert f"accuracy          {accuracy:.2%} of 1,000 test images of digits" in said
    Image.fromarray(DIGITS.images[0].numpy()).save(tmp_path / "digit.png")
    said = spikemnist("predict", "pretrained:mnist-mlp", "digit.png", cwd=tmp_path).stdout
    assert said.startswith(f"digit.png: {DIGITS.labels[0]} ")
    said = spikemnist("plot", "pretrained:mnist-mlp", cwd=tmp_path).stdout
    assert (tmp_path / "mnist-mlp" / "energy.png").exists()
    assert len(said.splitlines()) == 8


def test_an_unknown_name_is_told_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "pretrained:resnet"]) == 2
    said = capsys.readouterr().err
    assert "no pretrained network 'resnet'; choose from pretrained:mnist-conv, pretrained:" in said
    assert main(["evaluate", "nowhere"]) == 2
    assert "give a run folder, a model file, or pretrained:NAME" in capsys.readouterr().err
    assert main(["evaluate"]) == 2
    assert "needs RUN: run folder, model file, or pretrained:NAME" in capsys.readouterr().err


def test_what_stdp_has_learned_is_refused_before_anything_is_tested(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"command": "stdp"}', encoding="utf-8")
    assert main(["evaluate", str(run), str(tmp_path), "--robustness"]) == 2
    said = capsys.readouterr()
    assert "is a run of `spikemnist stdp`, but --robustness needs" in said.err
    assert not said.out


def test_several_runs_are_tested_one_after_the_other(run: Path, tmp_path: Path) -> None:
    words = ("evaluate", run, "pretrained:mnist-mlp")
    parts = spikemnist(*words, cwd=tmp_path).stdout.split("\n\n")
    assert [part.splitlines()[0] for part in parts] == [str(run), "pretrained:mnist-mlp"]
    assert all(part.count("accuracy ") == 1 for part in parts)
    assert not list(tmp_path.iterdir())


def test_robustness_is_what_the_library_measures(run: Path, tmp_path: Path) -> None:
    few = DIGITS[:100]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikemnist.cli.sources.test_set", lambda *_: ("digits", few))
        for name in ("robustness.png", "robustness-2.png", "own.svg"):
            out = ("--out", name) if name == "own.svg" else ()
            said = spikemnist("evaluate", run, "--robustness", *out, cwd=tmp_path).stdout
            assert said.endswith(f"\nwritten           {name}\n")
            assert (tmp_path / name).stat().st_size > 1000
    model = load_model(run / "model.safetensors")
    found = measure_robustness(model, few, encoder="latency", seed=0)
    for name, accuracy in found.accuracy.items():
        levels = " +".join(f"{level:g}" for level in accuracy)
        shares = " +".join(f"{share:.2%}" for share in accuracy.values())
        assert re.search(rf"^{name} +{levels}\n  accuracy +{shares}$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "x.png"), "--out names the picture of --robustness"),
        (("--robustness", "--out", "x.txt"), "--out must end in .png, .pdf or .svg; got x.txt"),
        (("--robustness", "--data", "nmnist"), "--robustness needs images, but nmnist has"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing_is_read(command: Evaluate, options: object) -> tuple[str, object]:
        return command.data or "digits", DIGITS

    monkeypatch.setattr("spikemnist.cli.sources.test_set", nothing_is_read)
    assert main(["evaluate", "pretrained:mnist-mlp", *words]) == 2
    assert message in capsys.readouterr().err

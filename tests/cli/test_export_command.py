"""``spikemnist export``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import nir
import onnxruntime
import pytest

from spikemnist.cli import main
from spikemnist.data import load_digits
from spikemnist.encoding import EventEncoder, describe_encoder
from spikemnist.export import from_nir
from spikemnist.models import LeakyMLP, save_model
from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = load_digits()[1][:50]


def test_a_page_without_options(run: Path, tmp_path: Path) -> None:
    said = spikemnist("export", run, cwd=tmp_path).stdout
    (page,) = tmp_path.iterdir()
    assert page.name == f"{run.name}.html"
    assert f"written           {page.name} ({page.stat().st_size:,} bytes)\n" in said
    assert f"try next          open {page.name} in a browser" in said
    spikemnist("export", run, cwd=tmp_path)
    assert (tmp_path / f"{run.name}-2.html").read_bytes() == page.read_bytes()


def test_training_ends_with_the_line_that_makes_the_page(tmp_path: Path) -> None:
    words = ("train", "--epochs", 1, "--hidden", 10, "--out", "my run")
    last = shlex.split(spikemnist(*words, cwd=tmp_path).stdout.splitlines()[-1])
    assert last[:2] == ["spikemnist", "export"]
    spikemnist(*last[1:], cwd=tmp_path)
    assert (tmp_path / "my run.html").is_file()
    words = ("train", "--epochs", 1, "--hidden", 10, "--encoder", "phase", "--out", "other")
    assert "spikemnist export" not in spikemnist(*words, cwd=tmp_path).stdout


@pytest.mark.filterwarnings("default:NIR cannot describe")
def test_every_format_of_a_pretrained_network(tmp_path: Path) -> None:
    words = ("export", "pretrained:mnist-mlp", "--to")
    spikemnist(*words, "onnx", cwd=tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "mnist-mlp.onnx"))
    (answers,) = session.run(["predictions"], {"images": DIGITS.images.numpy()})
    assert (answers == DIGITS.labels.numpy()).mean() > 0.9
    said = spikemnist(*words, "nir", cwd=tmp_path)
    assert "spikemnist: warning: NIR cannot describe reset_mechanism='subtract'" in said.stderr
    assert isinstance(nir.read(tmp_path / "mnist-mlp.nir"), nir.NIRGraph)
    assert from_nir(tmp_path / "mnist-mlp.nir").config["hidden"] == [128]
    said = spikemnist(*words, "c", "--weights", "int8", "--out", "digits", cwd=tmp_path)
    assert "try next          cc -std=c99 -O2" in said.stdout
    assert "int8_t weight_t" in (tmp_path / "digits" / "network.h").read_text(encoding="utf-8")
    spikemnist(*words, "c", cwd=tmp_path)
    assert (tmp_path / "mnist-mlp-c" / "main.c").is_file()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["pretrained:mnist-conv", "--to", "nir"], "--to nir: layer 1 has maximum pooling"),
        (
            ["pretrained:mnist-mlp", "--weights", "int8"],
            "--weights int8 needs --to c; got",
        ),
        (["events.safetensors"], "--to html: the page supports latency, rate and direct codes"),
        (["stdp"], "stdp is a run of `spikemnist stdp`; export needs a network of `train`"),
        (["nowhere"], "no model at nowhere"),
    ],
)
def test_what_cannot_be_exported(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stdp").mkdir()
    (tmp_path / "stdp" / "config.json").write_text('{"command": "stdp"}', encoding="utf-8")
    code = describe_encoder(EventEncoder(num_steps=4))
    save_model(LeakyMLP(hidden=(4,)), tmp_path / "events.safetensors", encoder=code)
    before = sorted(tmp_path.rglob("*"))
    assert main(["export", *words]) == 2
    assert complaint in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before

"""``spikemnist export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nir
import onnxruntime
import pytest

from spikemnist.cli import main
from spikemnist.data import load_digits
from spikemnist.encoding import EventEncoder
from spikemnist.export import from_nir
from spikemnist.models import Classifier, LeakyMLP
from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path

DIGITS = load_digits()[1][:50]


def test_a_page_is_the_default(run: Path, tmp_path: Path) -> None:
    printed = spikemnist("export", run, cwd=tmp_path).stdout
    (page,) = tmp_path.iterdir()
    assert page.name == f"{run.name}.html"
    assert f"written           {page.name} ({page.stat().st_size:,} bytes)\n" in printed
    assert f"try next          open {page.name} in a browser" in printed
    spikemnist("export", run, cwd=tmp_path)
    assert (tmp_path / f"{run.name}-2.html").read_bytes() == page.read_bytes()


@pytest.mark.filterwarnings("default:NIR cannot describe")
def test_formats(tmp_path: Path) -> None:
    words = ("export", "mnist-mlp", "--to")
    spikemnist(*words, "onnx", cwd=tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "mnist-mlp.onnx"))
    (answers,) = session.run(["predictions"], {"images": DIGITS.images.numpy()})
    assert (answers == DIGITS.labels.numpy()).mean() > 0.9
    output = spikemnist(*words, "nir", cwd=tmp_path)
    assert "spikemnist: warning: NIR cannot describe reset_mechanism='subtract'" in output.stderr
    assert isinstance(nir.read(tmp_path / "mnist-mlp.nir"), nir.NIRGraph)
    assert from_nir(tmp_path / "mnist-mlp.nir").config["hidden"] == [128]
    output = spikemnist(*words, "c", "--weights", "int8", "--out", "digits", cwd=tmp_path)
    assert "try next          cc -std=c99 -O2" in output.stdout
    assert "int8_t weight_t" in (tmp_path / "digits" / "network.h").read_text(encoding="utf-8")
    spikemnist(*words, "c", cwd=tmp_path)
    assert (tmp_path / "mnist-mlp-c" / "main.c").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnist-conv", "--to", "nir"], "--to nir: layer 1 has maximum pooling"),
        (["mnist-mlp", "--weights", "int8"], "--weights int8 needs --to c; got"),
        (["events.safetensors"], "--to html: the page supports latency, rate and direct codes"),
    ],
)
def test_wrong_requests(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Classifier(LeakyMLP(hidden=4), EventEncoder(num_steps=4)).save("events.safetensors")
    before = sorted(tmp_path.rglob("*"))
    assert main(["export", *words]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before

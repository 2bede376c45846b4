"""``spikemnist export``."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import nir
import numpy as np
import onnxruntime
import pytest

from spikemnist.data import load_digits
from spikemnist.export import from_nir
from tests.cli.command import answers, error, fields, spikemnist
from tests.export.test_web_page import network_data

DIGITS = load_digits()[1][:50]


def test_a_page_is_the_default(run: Path, tmp_path: Path) -> None:
    result = fields(spikemnist("export", run, cwd=tmp_path).stdout)
    (page,) = tmp_path.iterdir()
    size = page.stat().st_size
    assert result == {
        "written": "run.html",
        "bytes": f"{size:,}",
        "next": "open run.html in a browser",
    }
    (result,) = answers("export", run, cwd=tmp_path)
    assert (result["written"], result["bytes"]) == ("run-2.html", size)
    assert (tmp_path / "run-2.html").read_bytes() == page.read_bytes()


@pytest.mark.filterwarnings("default:NIR cannot describe")
def test_formats(tmp_path: Path) -> None:
    words = ("export", "mnist-mlp", "--to")
    spikemnist(*words, "onnx", cwd=tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "mnist-mlp.onnx"))
    (predictions,) = session.run(["predictions"], {"images": DIGITS.images.numpy()})
    assert (predictions == DIGITS.labels.numpy()).mean() > 0.9
    output = spikemnist(*words, "nir", cwd=tmp_path)
    assert "spikemnist: warning: NIR cannot describe reset_mechanism='subtract'" in output.stderr
    assert isinstance(nir.read(tmp_path / "mnist-mlp.nir"), nir.NIRGraph)
    assert from_nir(tmp_path / "mnist-mlp.nir").config["hidden"] == (128,)
    output = spikemnist(*words, "c", "--weights", "int8", "--out", "digits", cwd=tmp_path)
    assert fields(output.stdout)["next"].startswith("cc -std=c99 -O2 digits")
    assert "int8_t weight_t" in (tmp_path / "digits" / "network.c").read_text(encoding="utf-8")
    output = spikemnist(*words, "c", "--prefix", "digit", cwd=tmp_path)
    for name in ("main.c", "digit.c"):
        assert str(Path("mnist-mlp-c", name)) in fields(output.stdout)["next"]
    assert "digit_classify" in (tmp_path / "mnist-mlp-c" / "digit.h").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("mnist-conv --to nir", "--to nir: layer 1 has maximum pooling"),
        ("mnist-mlp --to c --prefix my-net", "--prefix must be a C identifier"),
        ("mnist-mlp --prefix digit", "--prefix would do nothing without --to c; leave it out"),
    ],
)
def test_a_network_that_a_format_lacks_is_refused(words: str, message: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert error("export", *words.split(), cwd=tmp_path).startswith(message)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_page_has_examples_of_the_data(tmp_path: Path) -> None:
    images = np.zeros((6, 28, 28), np.uint8)
    images[:3, :14] = images[3:, 14:] = 200
    labels = np.repeat([0, 1], 3)
    halves = {"x_train": images, "y_train": labels, "x_test": images[1:5], "y_test": labels[1:5]}
    np.savez(tmp_path / "halves.npz", **halves)
    words = ("--hidden", 30, "--threshold", 0.2, "--epochs", 1, "--out", "run")
    spikemnist("train", "--data", "halves.npz", *words, cwd=tmp_path)
    spikemnist("export", "run", cwd=tmp_path)
    examples = network_data(tmp_path / "run.html")["examples"]
    assert [one["label"] for one in examples] == [0, 1, 0, 1]


def test_a_run_without_its_model(run: Path, tmp_path: Path) -> None:
    copytree(run, tmp_path / "run", ignore=lambda _, names: {*names} - {"config.json"})
    message = error("export", "run", cwd=tmp_path)
    assert message.startswith("run has no model.safetensors, because the run has not finished")

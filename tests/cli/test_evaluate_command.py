"""``spikemnist evaluate``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikemnist import load
from spikemnist.data import load_digits
from spikemnist.energy import measure_energy
from spikemnist.training import evaluate, measure_robustness
from tests.cli.command import answers, fields, spikemnist

DIGITS = load_digits()[1]


def test_results_are_those_of_the_library(run: Path) -> None:
    printed = fields(spikemnist("evaluate", "run", cwd=run.parent).stdout)
    result = evaluate(load(run), DIGITS)
    assert (printed["run"], printed["data"]) == ("run", "digits")
    assert printed["test"] == result.table().title
    for name, value in result.table().rows:
        assert name == "seconds" or printed[name] == value
    (answer,) = answers("evaluate", "run", cwd=run.parent)
    assert answer["test"].keys() == vars(result).keys()
    assert answer["test"]["standard_error"] == result.standard_error
    assert answer["test"]["confusion"] == result.confusion.tolist()


def test_energy(run: Path) -> None:
    words = ("evaluate", run, "--energy", "--memory", "32KB")
    printed = spikemnist(*words, cwd=run.parent).stdout
    energy = measure_energy(load(run), DIGITS, memory="32KB")
    assert f"\n{energy.report()}\n" in printed
    assert "sparsity: share of neurons" in printed
    (answer,) = answers(*words, cwd=run.parent)
    assert answer["energy"]["total"]["spikes"] == pytest.approx(energy.total.spikes)
    assert answer["energy"]["picojoules"]["snn"]["total"] == pytest.approx(energy.snn.total)
    assert {"ann_dense", "ann_skipping"} < answer["energy"]["picojoules"].keys()


def test_a_model_file_on_another_backend(run: Path) -> None:
    words = ("run/model.safetensors", "--backend", "reference", "--data", "digits")
    (file,) = answers("evaluate", *words, cwd=run.parent)
    (folder,) = answers("evaluate", "run", cwd=run.parent)
    assert file["test"]["accuracy"] == folder["test"]["accuracy"]
    assert file["test"]["backend"] == "reference"
    assert Path(file["run"]) == Path("run/model.safetensors")


def test_several_runs_and_their_robustness(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikemnist.cli.sources.test_set", lambda *_: ("digits", DIGITS[:100]))
    words = ("evaluate", run, "mnist-mlp", "--robustness")
    first, second, last = spikemnist(*words, cwd=tmp_path).stdout.split("\n\n")
    assert [fields(part)["run"] for part in (first, second)] == [str(run), "mnist-mlp"]
    assert fields(last) == {"written": "robustness.png"}
    assert (tmp_path / "robustness.png").stat().st_size > 1000
    result = measure_robustness(load(run), DIGITS[:100])
    table = result.table()
    assert f"robustness        {table.title}" in first
    for name, levels in table.rows:
        assert re.search(rf"^{name} +{re.escape(levels)}$", first, re.MULTILINE)
    actual = answers(*words, "--out", "again.png", cwd=tmp_path)
    assert [answer["picture"] for answer in actual] == ["again.png"] * 2
    assert list(actual[0]["robustness"]["accuracy"]["shift"].values()) == list(
        result.accuracy["shift"].values()
    )

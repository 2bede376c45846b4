"""``spikemnist evaluate``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from spikemnist import load
from spikemnist.cli import main
from spikemnist.data import load_digits
from spikemnist.energy import measure_energy
from spikemnist.plasticity import ConvSTDPClassifier
from spikemnist.training import evaluate, measure_robustness
from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DIGITS = load_digits()[1]


def test_results_are_those_of_the_library(run: Path) -> None:
    printed = spikemnist("evaluate", run, cwd=run.parent).stdout
    result = evaluate(load(run), DIGITS)
    assert f"accuracy          {result.accuracy:.2%} of 1,000 test images of digits" in printed
    error = (result.accuracy * (1 - result.accuracy) / 1000) ** 0.5
    assert f"standard error {error:.2%}\n" in printed
    assert f"input {result.spikes_per_sample['input']:.1f}" in printed
    assert f"{float(result.accuracy_per_step[0]):.1%}" in printed
    assert "silent, tied" in printed
    assert "backend event_driven" in printed


def test_energy(run: Path) -> None:
    words = ("evaluate", run, "--energy", "--memory", "32KB")
    printed = spikemnist(*words, cwd=run.parent).stdout
    energy = measure_energy(load(run), DIGITS, memory="32KB")
    total = energy.total
    assert re.search(rf"total +{total.neurons} +{total.dense:,.0f} +0 +{total.acs:,.0f} ", printed)
    assert f"{energy.snn.total / 1000:,.1f}" in printed
    assert f"{energy.ann_dense.total / 1000:,.1f}    100.0%" in printed
    assert re.search(rf"0\.9 +{energy.early_exit(0.9).accuracy:.2%} ", printed)
    for part in ("4.6 pJ per MAC", "ISSCC 2014", "2.5 pJ per byte of 32KB", "do not fit into 32KB"):
        assert part in printed


def test_a_model_file_on_another_backend(run: Path) -> None:
    expected = spikemnist("evaluate", run, cwd=run.parent).stdout.splitlines()
    words = ("run/model.safetensors", "--backend", "snntorch", "--data", "digits")
    printed = spikemnist("evaluate", *words, cwd=run.parent).stdout.splitlines()
    assert printed[0] == expected[0]  # the same accuracy
    assert printed[-1].endswith("backend snntorch")


def test_several_runs(run: Path, tmp_path: Path) -> None:
    words = ("evaluate", run, "mnist-mlp")
    parts = spikemnist(*words, cwd=tmp_path).stdout.split("\n\n")
    assert [part.splitlines()[0] for part in parts] == [str(run), "mnist-mlp"]
    assert all(part.count("accuracy ") == 1 for part in parts)


def test_robustness(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = DIGITS[:100]
    monkeypatch.setattr("spikemnist.cli.sources.test_set", lambda *_: ("digits", few))
    printed = spikemnist("evaluate", run, "--robustness", cwd=tmp_path).stdout
    assert printed.endswith("\nwritten           robustness.png\n")
    assert (tmp_path / "robustness.png").stat().st_size > 1000
    result = measure_robustness(load(run), few, seed=0)
    for name, accuracy in result.accuracy.items():
        levels = " +".join(f"{level:g}" for level in accuracy)
        shares = " +".join(f"{share:.2%}" for share in accuracy.values())
        assert re.search(rf"^{name} +{levels}\n  accuracy +{shares}$", printed, re.MULTILINE)


def test_an_option_that_needs_a_network_is_refused_before_any_test(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = DIGITS.images[:200], DIGITS.labels[:200]
    file = ConvSTDPClassifier(4, epochs=1).fit(images, labels).save(tmp_path / "features")
    assert main(["evaluate", str(run), str(file), "--robustness"]) == 2
    captured = capsys.readouterr()
    assert "--robustness cannot be used with" in captured.err
    assert not captured.out

"""``--json``, ``--quiet`` and ``--verbose``."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from spikemnist.cli import main
from tests.cli.command import answers, fields, spikemnist


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_and_json_have_the_same_fields(run: Path) -> None:
    words = ("train", "--resume", "--out", "run")  # it has finished
    (values,) = answers(*words, cwd=run.parent)
    printed = fields(spikemnist(*words, "--quiet", cwd=run.parent).stdout)
    table = {"accuracy", "loss", "spikes per sample", "silent", "tied", "after each step"}
    names = {name.replace("_", " ") for name, value in values.items() if value}
    assert set(printed) == names | table | {"seconds"}
    assert (values["run"], values["interrupted"], values["best_epoch"]) == ("run", False, None)
    assert [row["epoch"] for row in values["history"]["epochs"]] == [1, 2, 3]
    assert all((run / file).is_file() for file in values["files"])
    test = values["test"]
    assert sum(map(sum, test["confusion"])) == test["samples"] == 1000
    assert (
        printed["accuracy"]
        == f"{test['accuracy']:.2%} ± {test['standard_error']:.2%} standard error"
    )
    # The accuracy of each timestep is a float32.
    assert test["accuracy_per_step"][-1] == pytest.approx(test["accuracy"], rel=1e-6)


def test_on_a_terminal_a_bar_shows_unless_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "--hidden", "30", "--epochs", "2", "--batch-size", "500", "--out", "run"]
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(words) == 0
    assert "| 0/10, ? left" in terminal.getvalue()
    monkeypatch.setattr(sys, "stderr", silent := Terminal())
    assert main([*words[:-1], "again", "--quiet"]) == 0
    assert silent.getvalue() == ""


def test_verbose_prints_settings_and_network(run: Path) -> None:
    resumed = ("train", "--resume", "--out", run)  # it has finished
    output = spikemnist(*resumed, "--verbose", cwd=run)
    lines = [line.split(maxsplit=1) for line in output.stderr.splitlines()]
    assert {("--hidden", "40"), ("--learn-beta", "False")} <= {*map(tuple, lines)}
    assert "LeakyMLP of " in output.stderr
    assert "5,000 training images, device " in output.stderr
    assert "--debug" not in output.stderr
    assert spikemnist(*resumed, "--quiet", "--json", cwd=run).stderr == ""

"""``--json``, ``--quiet``, ``--verbose``, and colours."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from spikemnist import load_digits
from spikemnist.cli import main
from spikemnist.cli.output import coloured
from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(*words: object, cwd: Path) -> list[dict[str, Any]]:
    """Return the objects that a command prints with ``--json``."""
    return [json.loads(line) for line in spikemnist(*words, "--json", cwd=cwd).stdout.splitlines()]


SMALL = ("--hidden", 30, "--epochs", 2, "--batch-size", 500)


def test_json_of_train_and_evaluate(tmp_path: Path) -> None:
    (trained,) = lines("train", *SMALL, "--validation", 0.1, "--out", "run", cwd=tmp_path)
    assert (trained["run"], trained["interrupted"]) == ("run", False)
    assert [row["epoch"] for row in trained["epochs"]] == [1, 2]
    assert trained["best_epoch"] in (1, 2)
    assert all((tmp_path / file).is_file() for file in trained["files"])
    assert sum(map(sum, trained["test"]["confusion"])) == trained["test"]["samples"] == 1000
    (tested,) = lines("evaluate", "run", "--energy", cwd=tmp_path)
    assert (tested["run"], tested["data"]) == ("run", "digits")
    assert tested["accuracy"] == trained["test"]["accuracy"]
    # The accuracy of each timestep is a float32.
    assert tested["accuracy_per_step"][-1] == pytest.approx(tested["accuracy"], rel=1e-6)
    energy = tested["energy"]
    assert energy["total"]["spikes"] == pytest.approx(
        sum(tested["spikes_per_sample"].values()) - tested["spikes_per_sample"]["input"]
    )
    assert set(energy["picojoules"]) == {"snn", "ann_dense", "ann_skipping"}


def test_json_of_several_runs(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = load_digits()[1][:20]
    monkeypatch.setattr("spikemnist.cli.sources.test_set", lambda *_: ("digits", few))
    objects = lines("evaluate", run, "mnist-mlp", "--robustness", cwd=tmp_path)
    assert [result["run"] for result in objects] == [str(run), "mnist-mlp"]
    for result in objects:
        assert result["picture"] == "robustness.png"
        shares = [share for level in result["robustness"].values() for share in level.values()]
        assert all(0 <= share <= 1 for share in shares)
    assert (tmp_path / "robustness.png").is_file()


def test_json_of_predict(run: Path, tmp_path: Path) -> None:
    _, test = load_digits()
    for name, image in zip("ab", test.images, strict=False):
        Image.fromarray(image.numpy()).save(tmp_path / f"{name}.png")
    objects = lines("predict", run, "a.png", "b.png", cwd=tmp_path)
    assert [result["picture"] for result in objects] == ["a.png", "b.png"]
    for result in objects:
        assert 0 <= result["prediction"] <= 9
        assert 1 <= result["decided_after"] <= result["num_steps"] == 8
        assert not result["dark_on_light"]
        assert all((tmp_path / file).is_file() for file in result["written"])


def test_json_of_stdp(tmp_path: Path) -> None:
    (trained,) = lines("stdp", "--neurons", 20, "--out", "run", cwd=tmp_path)
    assert (trained["run"], trained["interrupted"]) == ("run", False)
    assert all((tmp_path / file).is_file() for file in trained["files"])
    (tested,) = lines("evaluate", "run", cwd=tmp_path)
    assert tested["accuracy"] == trained["test"]["accuracy"]
    assert tested["votes"] == trained["test"]["votes"]
    assert tested["loss"] is None
    assert trained["theta_plus"] > 0


def test_quiet_prints_only_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main([*map(str, ("train", *SMALL, "--quiet"))]) == 0
    assert terminal.getvalue() == ""
    printed = capsys.readouterr().out
    assert "test accuracy" in printed
    assert "try next" not in printed


def test_epochs_are_printed_above_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main([*map(str, ("train", *SMALL))]) == 0
    assert "batch/s" in terminal.getvalue()
    # A bar begins with a return of the cursor, and overwrites itself; a line ends with a newline.
    visible = [line.rsplit("\r", 1)[-1] for line in terminal.getvalue().split("\n")]
    assert [line.split("  ")[0] for line in visible if line.startswith("epoch")][:2] == [
        "epoch 1/2",
        "epoch 2/2",
    ]


def test_verbose_prints_settings_network_and_device(tmp_path: Path) -> None:
    output = spikemnist("train", *SMALL, "--verbose", "--out", "run", cwd=tmp_path)
    assert "--learn-beta      False" in output.stderr
    assert "LeakyMLP of " in output.stderr
    assert "5,000 training images, device cpu" in output.stderr
    assert "--debug" not in output.stderr
    resumed = ("train", "--resume", "--out", "run", "--quiet", "--json")
    assert "cannot resume" not in spikemnist(*resumed, cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("stream", "variables", "has_colour"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_only_on_a_terminal(
    stream: io.StringIO,
    variables: dict[str, str],
    has_colour: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (coloured("wrong", "red", stream) != "wrong") == has_colour

"""JSON for scripts, ``--quiet``, ``--verbose``, and colours."""

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


def test_train_reports_its_run_its_epochs_and_its_test(tmp_path: Path) -> None:
    (found,) = lines("train", *SMALL, "--validation", 0.1, "--out", "run", cwd=tmp_path)
    assert (found["run"], found["interrupted"]) == ("run", False)
    assert [row["epoch"] for row in found["epochs"]] == [1, 2]
    assert found["best_epoch"] in (1, 2)
    assert all((tmp_path / file).is_file() for file in found["files"])
    assert sum(map(sum, found["test"]["confusion"])) == found["test"]["samples"] == 1000
    (tested,) = lines("evaluate", "run", "--energy", cwd=tmp_path)
    assert (tested["run"], tested["data"]) == ("run", "digits")
    assert tested["accuracy"] == found["test"]["accuracy"]
    # The accuracy of each timestep is a float32.
    assert tested["accuracy_per_step"][-1] == pytest.approx(tested["accuracy"], rel=1e-6)
    energy = tested["energy"]
    assert energy["total"]["spikes"] == pytest.approx(
        sum(tested["spikes_per_sample"].values()) - tested["spikes_per_sample"]["input"]
    )
    assert set(energy["picojoules"]) == {"snn", "ann_dense", "ann_skipping"}


def test_an_object_for_each_run_and_one_picture_of_their_robustness(
    run: Path, tmp_path: Path
) -> None:
    two = lines("evaluate", run, "pretrained:mnist-mlp", "--robustness", cwd=tmp_path)
    assert [each["run"] for each in two] == [str(run), "pretrained:mnist-mlp"]
    for each in two:
        assert each["picture"] == "robustness.png"
        assert all(
            0 <= share <= 1 for level in each["robustness"].values() for share in level.values()
        )
    assert (tmp_path / "robustness.png").is_file()


def test_predict_reports_each_picture(run: Path, tmp_path: Path) -> None:
    _, test = load_digits()
    for name, image in zip("ab", test.images, strict=False):
        Image.fromarray(image.numpy()).save(tmp_path / f"{name}.png")
    found = lines("predict", run, "a.png", "b.png", cwd=tmp_path)
    assert [each["picture"] for each in found] == ["a.png", "b.png"]
    for each in found:
        assert 0 <= each["prediction"] <= 9
        assert 1 <= each["decided_after"] <= each["num_steps"] == 8
        assert not each["dark_on_light"]
        assert all((tmp_path / file).is_file() for file in each["written"])


def test_stdp_reports_its_run_and_its_test(tmp_path: Path) -> None:
    (found,) = lines("stdp", "--neurons", 20, "--out", "run", cwd=tmp_path)
    assert (found["run"], found["interrupted"]) == ("run", False)
    assert all((tmp_path / file).is_file() for file in found["files"])
    (tested,) = lines("evaluate", "run", cwd=tmp_path)
    assert tested["accuracy"] == found["test"]["accuracy"]
    assert tested["votes"] == found["test"]["votes"]
    assert tested["theta_plus"] == found["theta_plus"] > 0


def test_quiet_leaves_the_result(tmp_path: Path) -> None:
    said = spikemnist("train", *SMALL, "--quiet", cwd=tmp_path)
    assert said.stderr == ""
    assert "test accuracy" in said.stdout
    assert "try next" not in said.stdout


def test_quiet_shows_no_bar_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main([*map(str, ("train", *SMALL, "--quiet"))]) == 0
    assert terminal.getvalue() == ""
    assert main([*map(str, ("train", *SMALL))]) == 0
    assert "batch/s" in terminal.getvalue()


def test_the_line_of_an_epoch_stays_above_the_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main([*map(str, ("train", *SMALL))]) == 0
    # A bar begins with a return of the cursor, and overwrites itself; a line ends with a newline.
    kept = [line.rsplit("\r", 1)[-1] for line in terminal.getvalue().split("\n")]
    assert [line.split("  ")[0] for line in kept if line.startswith("epoch")][:2] == [
        "epoch 1/2",
        "epoch 2/2",
    ]


def test_verbose_shows_settings_network_and_device(tmp_path: Path) -> None:
    said = spikemnist("train", *SMALL, "--verbose", cwd=tmp_path)
    assert "--learn-beta      False" in said.stderr
    assert "LeakyMLP(" in said.stderr
    assert "5,000 training images, device cpu" in said.stderr
    assert "--debug" not in said.stderr


def test_how_a_command_reports_is_no_setting_of_its_run(tmp_path: Path) -> None:
    spikemnist("train", *SMALL, "--quiet", "--out", "run", cwd=tmp_path)
    resumed = ("train", "--resume", "--out", "run", "--verbose", "--json")
    assert "cannot resume" not in spikemnist(*resumed, cwd=tmp_path).stderr
    assert not {"quiet", "verbose", "json"} & set(
        json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    )


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
def test_colours_on_a_terminal_alone(
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


def test_an_error_on_a_terminal_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["evaluate", "nowhere"]) == 2
    assert "\033[31merror:\033[0m" in terminal.getvalue()

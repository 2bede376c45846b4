"""Run folders: new ones, damaged ones, and runs that fail or are killed before the first epoch."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from spikemnist import models
from tests.cli.command import answers, error, spikemnist

SMALL = ("--hidden", 8, "--threshold", 0.2, "--epochs", 1, "--batch-size", 1000)


def test_two_runs_of_one_second_have_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "now")
    runs = [answers("train", *SMALL, cwd=tmp_path)[0]["run"] for _ in range(2)]
    names = ["now-digits-latency", "now-digits-latency-2"]
    assert runs == [str(Path("runs", name)) for name in names]


def test_a_run_killed_before_its_options_can_be_started_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".spikemnist-0123abcd.json").write_text("{", encoding="utf-8")
    words = ("train", *SMALL, "--out", "run")
    assert "is not a run folder" in error(*words, "--resume", cwd=tmp_path)
    spikemnist(*words, cwd=tmp_path)
    assert (folder / "model.safetensors").exists()


def test_a_run_killed_before_its_first_epoch_can_be_continued(run: Path, tmp_path: Path) -> None:
    """It may have written its options alone."""
    shutil.copytree(run, tmp_path / "run", ignore=lambda _, names: {*names} - {"command.json"})
    error_of = {name: error(name, "run", cwd=tmp_path) for name in ("plot", "evaluate", "export")}
    for message in error_of.values():
        assert "has no model.safetensors, because the run has not finished; continue it" in message
        assert message.endswith("`spikemnist train --resume --out run`")
    spikemnist("train", "--resume", "--out", "run", cwd=tmp_path)
    for name in ("metrics.csv", "model.safetensors", "config.json", "command.json"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


def test_a_run_of_the_library_can_be_used_by_commands(run: Path, tmp_path: Path) -> None:
    """It has no options of a command."""
    folder = tmp_path / "own"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("command.json", "*.png"))
    own, ours = (answers("evaluate", path, cwd=tmp_path)[0]["test"] for path in ("own", run))
    assert own["confusion"] == ours["confusion"]
    assert "own is not a run folder: it has no command.json" in error(
        "train", "--resume", "--out", "own", cwd=tmp_path
    )
    (folder / "model.safetensors").unlink()
    message = error("plot", "own", cwd=tmp_path)
    assert message == "own has no model.safetensors, because the run has not finished"


def test_a_folder_of_runs_names_them(run: Path) -> None:
    for command in ("plot", "evaluate"):
        assert f"; run folders in it are {run}" in error(command, run.parent, cwd=run.parent)


def test_a_run_of_another_command_cannot_be_continued(run: Path) -> None:
    message = error("stdp", "--resume", "--out", "run", cwd=run.parent)
    assert message == "run is a run of `spikemnist train`, not of `stdp`"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "it lacks 'options'"),
        (b'{"command": "train"}', "it lacks 'options'"),
        (b"\x89PNG\r\n\x1a\n", "'utf-8' codec can't decode"),
    ],
    ids=["cut", "list", "half", "picture"],
)
def test_damaged_options_are_named(run: Path, tmp_path: Path, damage: bytes, reason: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "command.json").write_bytes(damage)
    assert f"{folder / 'command.json'} is damaged: {reason}" in error("plot", folder, cwd=tmp_path)


def test_too_little_memory_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("can't allocate memory: you tried to allocate 31360000000000 bytes")

    monkeypatch.setattr(models, "LeakyMLP", fail)
    message = error("train", "--hidden", 9000, "--out", "run", cwd=tmp_path, code=1)
    assert message.startswith("can't allocate memory: you tried to allocate")
    assert not any(tmp_path.iterdir())

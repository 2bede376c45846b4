"""Run folders: new ones, damaged ones, and runs that fail or are killed before the first epoch."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from spikemnist import models
from spikemnist.cli import main, runs
from spikemnist.cli.options import Train
from tests.cli.command import spikemnist

if TYPE_CHECKING:
    from pathlib import Path


def test_two_runs_of_one_second_have_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "now")
    names = [runs.new_run(Train()).name for _ in range(3)]
    assert names == ["now-digits-latency", "now-digits-latency-2", "now-digits-latency-3"]


def test_a_run_killed_before_its_configuration_can_be_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    temporary = folder / ".spikemnist-0123abcd.json"
    temporary.write_text("{", encoding="utf-8")
    words = ["train", "--hidden", "8", "--epochs", "1", "--batch-size", "1000"]
    words += ["--out", str(folder)]
    assert main([*words, "--resume"]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert main(words) == 0
    assert (folder / "model.safetensors").exists()


def test_a_folder_of_runs_names_them(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("plot", "evaluate"):
        assert main([command, str(run.parent)]) == 2
        assert f"; run folders in it are {run}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"[]", "it holds no options"),
        (b'{"command": "train", "data": "digits"}', "it lacks '"),
        (b"\x89PNG\r\n\x1a\n", "'utf-8' codec can't decode"),
    ],
    ids=["cut", "list", "half", "picture"],
)
def test_a_damaged_configuration_is_named(
    run: Path, tmp_path: Path, damage: bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "config.json").write_bytes(damage)
    assert main(["plot", str(folder)]) == 2
    assert f"{folder / 'config.json'} is damaged: {reason}" in capsys.readouterr().err


def test_too_little_memory_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("can't allocate memory: you tried to allocate 31360000000000 bytes")

    monkeypatch.setattr(models, "LeakyMLP", fail)
    output = spikemnist("train", "--hidden", "9000", "--out", "run", cwd=tmp_path, code=1)
    assert "error: can't allocate memory: you tried to allocate" in output.stderr
    assert not any(tmp_path.iterdir())

"""Standard streams that are closed, and pipes whose reader has left."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from spikemnist.cli import main
from tests.cli.command import environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TRAIN = ["train", "--hidden", "8", "--epochs", "1", "--batch-size", "1000", "--out"]


def test_training_without_an_error_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main([*TRAIN, str(tmp_path / "run")]) == 0
    assert sys.stderr is None
    assert (tmp_path / "run" / "decision.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="its shell does not close streams")
def test_training_with_all_streams_closed_and_a_misspelt_backend(tmp_path: Path) -> None:
    """Of Matplotlib, which takes it from the environment when it is imported."""
    done = subprocess.run(
        [
            "sh",
            "-c",
            'exec "$0" "$@" <&- >&- 2>&-',
            sys.executable,
            "-m",
            "spikemnist",
            *TRAIN,
            "r",
        ],
        cwd=tmp_path,
        env={**environment(), "MPLBACKEND": "foo"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert (tmp_path / "r" / "decision.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGPIPE and no code for it")
@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"]])
def test_a_pipe_whose_reader_has_left(words: list[str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "spikemnist", *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


def test_a_run_is_whole_before_its_reader_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Left(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Left())
    assert main([*TRAIN, str(tmp_path / "run")]) == 141
    assert (tmp_path / "run" / "decision.png").exists()
    assert "error" not in capsys.readouterr().err

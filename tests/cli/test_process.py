"""The process of a command: what it imports, Ctrl-C, and a pipe whose reader has left."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from spikemnist import cli
from spikemnist.cli import info, parser
from tests.cli.command import environment

HEAVY = ("torch", "numpy", "snntorch", "matplotlib", "numba")


def in_a_process(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these words."""
    return subprocess.run(
        [sys.executable, *words], env=environment(), capture_output=True, encoding="utf-8"
    )


def test_help_and_wrong_words_load_no_pytorch() -> None:
    """Ctrl-C is handled once the package of the command line is imported: it loads still less."""
    pages = ["", "--version", *(f"{name} --help" for name in cli.COMMANDS)]
    requests = [*pages, "train --epochs 0", "train --recipe fast -h", "fit"]
    code = (
        "import sys\n"
        "before = {*sys.modules}\n"  # Python's own start, and coverage
        "from spikemnist import cli\n"
        "def loaded(*more):\n"
        f"    print('loaded', [n for n in {HEAVY} + more if n in {{*sys.modules}} - before])\n"
        "loaded('dataclasses', 'argparse')\n"
        f"for words in {requests}:\n"
        "    cli.main(words.split())\n"
        "    loaded()"
    )
    done = in_a_process("-c", code)
    assert done.stdout.count("loaded []\n") == 1 + len(requests), done.stdout + done.stderr


@pytest.mark.parametrize(("module", "name"), [(parser, "parse"), (info, "run")])
def test_ctrl_c_ends_a_command_with_130_and_one_line(
    module: ModuleType,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """During imports, which end first, and afterwards."""
    function, reached = getattr(module, name), []

    def press(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        reached.append(name)
        return function(*arguments)

    monkeypatch.setattr(module, name, press)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr() == ("", "spikemnist: interrupted\n")
    assert reached == (["parse"] if module is parser else [])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="its shell cannot close a stream")
@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [
        ("train --hidden 6 --epochs 1 --num-steps 2 --threshold 500 --out run", "2>&-", 0),  # warns
        ("encode --out run/spikes.png", ">&-", 0),
        ("train --epochs 0", ">&- 2>&-", 2),
    ],
)
def test_a_closed_stream_changes_no_exit_code(
    words: str, closed: str, code: int, tmp_path: Path
) -> None:
    command = f"'{sys.executable}' -m spikemnist {words} {closed}"
    done = subprocess.run(["sh", "-c", command], env=environment(), cwd=tmp_path, check=False)
    assert done.returncode == code
    assert (tmp_path / "run").exists() == (code == 0)


def test_without_docstrings_the_options_are_the_same() -> None:
    done = in_a_process("-OO", "-m", "spikemnist", "train", "--help")
    assert done.returncode == 0, done.stderr
    assert "--batch-norm" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["encode"]])
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
        assert b"Error" not in process.stderr.read()
        assert process.wait(timeout=120) == 141

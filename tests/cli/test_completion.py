"""Completion of words, in bash itself."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from spikemnist import cli

PRESS_TAB = """
COMP_WORDS=(spikemnist "$@")
COMP_CWORD=$#
_spikemnist spikemnist "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
echo "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is missing")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["t"], "train"),
        (["e"], "evaluate encode export"),
        ([""], " ".join(cli.COMMANDS)),
        (["train", "--no-b"], "--no-batch-norm"),
        (["train", "--data", ""], "digits mnist fashion_mnist nmnist"),
        (["stdp", "--data", "f"], "fashion_mnist"),
        (["predict", "--invert", "a"], "auto"),
        (["predict", "mnist-conv", "digit"], ""),  # bash completes files
    ],
)
def test_completion(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--completion"]) == 0
    script = capsys.readouterr().out + PRESS_TAB
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], capture_output=True, encoding="utf-8"
    )
    assert (done.stdout.strip(), done.stderr) == (expected, "")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_in_the_help_is_completed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--completion"]) == 0
    (words,) = re.findall(rf"'{name} '\*\) words='(.*)'", capsys.readouterr().out)
    assert cli.main([name, "--help"]) == 0
    lines = re.findall(r"^  (--.*)", capsys.readouterr().out, re.MULTILINE)
    options = [re.findall(r"--[\w-]+", line.partition("  ")[0]) for line in lines]
    assert words.split() == [option for names in options for option in names]

"""Run the command line in this process, or the environment to run it in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import hide_gpus
from spikemnist.cli import main


def environment() -> dict[str, str]:
    """Return variables with which only the embedded digits are there, and no GPU."""
    variables = {key: value for key, value in os.environ.items() if key != "SPIKEMNIST_DATA"}
    return {**variables, "PYTHONUTF8": "1", "COLUMNS": "80", "CUDA_VISIBLE_DEVICES": ""}


def copy_digits(root: Path) -> None:
    """Copy the digits of the package to where Fashion-MNIST is looked for."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for file in (resources.files("spikemnist.data") / "embedded").iterdir():
        if file.name.endswith(".gz"):
            (folder / file.name).write_bytes(file.read_bytes())


class Output(NamedTuple):
    stdout: str
    stderr: str


def spikemnist(*words: object, cwd: Path, code: int = 0) -> Output:
    """Run ``spikemnist`` with ``words`` in this process and check its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        hide_gpus(patch)
        patch.chdir(cwd)
        patch.delenv("SPIKEMNIST_DATA", raising=False)
        patch.setenv("COLUMNS", "80")
        returned = main([*map(str, words)])
    assert returned == code, out.getvalue() + err.getvalue()
    # A kernel may be in the cache, or not.
    lines = err.getvalue().splitlines(keepends=True)
    return Output(
        out.getvalue(), "".join(line for line in lines if "compiling kernels" not in line)
    )


def error(*words: object, cwd: Path, code: int = 2) -> str:
    """Return the message of a command that fails in one line, without a result."""
    printed, (line,) = (text.splitlines() for text in spikemnist(*words, cwd=cwd, code=code))
    assert printed == []
    assert line.startswith("spikemnist: error: ")
    return line.removeprefix("spikemnist: error: ")


def answers(*words: object, cwd: Path, code: int = 0) -> list[dict[str, Any]]:
    """Return the lines of a command with ``--json``."""
    printed = spikemnist(*words, "--json", cwd=cwd, code=code).stdout
    return [json.loads(line) for line in printed.splitlines()]


def fields(printed: str) -> dict[str, str]:
    """Return the values in the aligned lines of a result by their names."""
    return {line[:18].strip(): line[18:] for line in printed.splitlines() if line[:18].strip()}

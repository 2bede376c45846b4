"""Run the command line as people do: in this process, or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from conftest import hide_gpus
from spikemnist.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def environment() -> dict[str, str]:
    """No data but the embedded digits, no cache of the person who runs the tests, and no GPU."""
    kept = {key: value for key, value in os.environ.items() if key != "SPIKEMNIST_DATA"}
    return {**kept, "PYTHONUTF8": "1", "COLUMNS": "80", "CUDA_VISIBLE_DEVICES": ""}


class Said(NamedTuple):
    stdout: str
    stderr: str


def spikemnist(*words: object, cwd: Path, code: int = 0) -> Said:
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
    # Whether a kernel is in the cache yet is not what these tests are about.
    lines = err.getvalue().splitlines(keepends=True)
    return Said(out.getvalue(), "".join(line for line in lines if "compiling kernels" not in line))

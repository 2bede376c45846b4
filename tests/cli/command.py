"""Run the command line as people do: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def environment() -> dict[str, str]:
    """No data but the embedded digits, and no cache of the person who runs the tests."""
    kept = {key: value for key, value in os.environ.items() if key != "SPIKEMNIST_DATA"}
    return {**kept, "PYTHONUTF8": "1", "COLUMNS": "80"}


def spikemnist(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``spikemnist`` with ``words`` and check its exit code."""
    result = subprocess.run(
        [sys.executable, "-m", "spikemnist", *map(str, words)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert result.returncode == code, result.stdout + result.stderr
    # Whether a kernel is in the cache yet is not what these tests are about.
    lines = result.stderr.splitlines(keepends=True)
    result.stderr = "".join(line for line in lines if "compiling kernels" not in line)
    return result

"""Run the command line as people do: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


# No GPU, which `environment` cannot hide on a Mac.
ON_A_MAC = (
    "import runpy, torch; torch.backends.mps.is_available = lambda: False; "
    "runpy.run_module('spikemnist', run_name='__main__', alter_sys=True)"
)
COMMAND = ["-c", ON_A_MAC] if sys.platform == "darwin" else ["-m", "spikemnist"]


def environment() -> dict[str, str]:
    """No data but the embedded digits, no cache of the person who runs the tests, and no GPU."""
    kept = {key: value for key, value in os.environ.items() if key != "SPIKEMNIST_DATA"}
    return {**kept, "PYTHONUTF8": "1", "COLUMNS": "80", "CUDA_VISIBLE_DEVICES": ""}


def spikemnist(*words: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``spikemnist`` with ``words`` and check its exit code."""
    result = subprocess.run(
        [sys.executable, *COMMAND, *map(str, words)],
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

"""The kernels as plain Python: the same laws hold, and coverage sees their lines.

Compiled code is invisible to it, so what is measured of a kernel is measured here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
SUBSET = (
    "ops/event_driven/test_events.py",
    "ops/event_driven/test_engine_oracle.py",
    "ops/event_driven/test_engine_dropout.py",
    "encoding/test_encoder_paths.py",
)
OTHERWISE = "torch_compile or numba_is_loaded"
"""What is about compilation itself."""


def test_without_compilation_the_kernels_do_the_same() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    chosen = [str(TESTS / name) for name in SUBSET]
    run = subprocess.run(
        [*command, "-k", f"not ({OTHERWISE})", *chosen],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""},
        cwd=TESTS.parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert " passed" in run.stdout

"""The classifier as scikit-learn sees it, in a process of its own.

Scikit-learn brings an OpenMP runtime. Beside a second one kernels do without torch's threads, and
no other test would see these.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKS = Path(__file__).with_name("scikit_learn_checks.py")


def test_it_is_an_estimator_to_scikit_learn() -> None:
    # Options of this run, such as a measurement of coverage, are not that one's.
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CHECKS)]
    run = subprocess.run(
        words,
        cwd=CHECKS.parents[2],
        env=kept,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "3 passed" in run.stdout

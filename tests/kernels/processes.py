"""Code in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PATIENCE = 120
"""Seconds after which a process counts as hanging: a deadlock is a failure, not a wait."""


def start(
    *arguments: str | Path, environment: Mapping[str, str | None] | None = None
) -> subprocess.Popen[str]:
    """Start Python. ``environment`` is set on top of this process's own; None takes away."""
    # Copies of the package are not what the coverage is measured of.
    changes = {"COVERAGE_PROCESS_CONFIG": None, "COVERAGE_PROCESS_START": None}
    variables = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
    for name, value in {**changes, **(environment or {})}.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def lines(process: subprocess.Popen[str]) -> list[str]:
    """Wait for a process to succeed, and return the lines that it printed."""
    try:
        printed, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        # Its children too: they hold on to what it prints to.
        end = getattr(os, "killpg", os.kill)
        end(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        printed, errors = process.communicate()
        raise AssertionError(f"the process hung\n{printed}\n{errors}") from None
    assert process.returncode == 0, errors
    return printed.splitlines()

"""The kernels as plain Python: the same laws hold.

Coverage does not see compiled code, so the lines of kernels are measured here. NumPy's memory is
poisoned within kernels too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
FILES = (
    "kernels/test_spike_lists.py",
    "engine/test_engine_oracle.py",
    "engine/test_engine_inputs.py",
    "engine/test_engine_memory.py",
    "engine/test_convolution.py",
    "engine/test_separable.py",
    "plasticity/test_competition.py",
    "plasticity/test_conv_stdp.py",
    "encoding/test_bernoulli_words.py",
    "encoding/test_encoder_paths.py",
)
CHOSEN = (
    "(spike_lists or any_stack or every_reset or constant_in_time or uninitialised "
    "or torchs_convolution or written_out or behind_dropout or equations or description "
    "or each_image_alone or the_path or either_path) and not large and not dtype1 "
    "and not sixteen"
)
"""Names of tests; those left out take long, or run the same lines."""
SETTINGS = """
[run]
branch = true
source = spikemnist
"""


def test_kernels_as_plain_python(tmp_path: Path) -> None:
    settings, data = tmp_path / "settings", tmp_path / "data"
    settings.write_text(SETTINGS, encoding="utf-8")
    measure = ["coverage", "run", f"--rcfile={settings}", f"--data-file={data}", "-m", "pytest"]
    own = {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "PYTEST_ADDOPTS"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            *measure,
            "-qx",
            "-n",
            "0",
            "-k",
            CHOSEN,
            *(f"tests/{file}" for file in FILES),
        ],
        env={**kept, "NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1"},
        cwd=TESTS.parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    found = coverage.Coverage(data_file=str(data), config_file=str(settings))
    found.load()
    measuring = coverage.Coverage.current()
    if measuring is not None:
        measuring.get_data().update(found.get_data())

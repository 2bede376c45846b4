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

from tests.rooms import of_rooms

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
CHOSEN = (
    "kernels/test_spike_lists.py",
    "laws/test_oracle.py::test_any_stack",
    "laws/test_oracle.py::test_every_pair_of_settings",
    "laws/test_inputs.py::test_an_input_constant_in_time",
    "engine/test_uninitialised_memory.py::test_no_uninitialised_memory_is_read",
    "engine/test_convolution.py::test_it_is_torchs_convolution",
    "engine/test_separable.py::test_the_same_gradient_written_out[70-0.9-subtract]",
    "engine/test_separable.py::test_the_same_gradient_written_out[3-1.3-none]",
    "engine/test_separable.py::test_behind_dropout",
    *of_rooms("OF_KERNELS"),
    "kernels/test_bernoulli_words.py::test_bits_are_the_spikes_of_each_image_alone",
    "encoding/test_encoder_paths.py::test_rate_spikes_do_not_depend_on_the_path",
    "encoding/test_encoder_paths.py::test_latency_spikes_do_not_depend_on_the_path",
    "encoding/test_encoder_paths.py::test_pixels_out_of_range_are_refused_on_either_path",
)
"""Tests that run each line of a kernel once; others take long, or run the same lines."""
ENGINE = "not reference and not accelerate and not triton and not large"
SETTINGS = """
[run]
branch = {branches}
source = spikemnist
"""


def test_kernels_as_plain_python(tmp_path: Path) -> None:
    settings, data = tmp_path / "settings", tmp_path / "data"
    measuring = coverage.Coverage.current()
    branches = bool(measuring and measuring.get_option("run:branch"))
    settings.write_text(SETTINGS.format(branches=branches), encoding="utf-8")
    command = ["pytest"]
    if measuring:
        command = ["coverage", "run", f"--rcfile={settings}", f"--data-file={data}", "-m", "pytest"]
    own = {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "PYTEST_ADDOPTS"}
    rest = {name: value for name, value in os.environ.items() if name not in own}
    tests = [f"tests/{test}" for test in CHOSEN]
    run = subprocess.run(
        [sys.executable, "-m", *command, "-qx", "-n", "0", "-k", ENGINE, *tests],
        env={**rest, "NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1"},
        cwd=TESTS.parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    if measuring is not None:
        data_of_run = coverage.Coverage(data_file=str(data), config_file=str(settings))
        data_of_run.load()
        measuring.get_data().update(data_of_run.get_data())

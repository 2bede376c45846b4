"""The kernels as plain Python: the same laws hold, and every line of them runs.

Compiled code is invisible to coverage, so what is measured of a kernel is measured here. NumPy's
memory is poisoned within kernels too.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import coverage
import pytest

import spikemnist

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
PACKAGE = Path(spikemnist.__file__).parent
KERNELS = [
    *sorted((PACKAGE / "engine").glob("*.py")),
    *(
        PACKAGE / "kernels" / f"{name}.py"
        for name in ("bits", "blocks", "elementwise", "registers")
    ),
    *(PACKAGE / "kernels" / f"{name}.py" for name in ("scheduler", "spike_lists", "vector")),
    PACKAGE / "encoding/kernels.py",
    PACKAGE / "plasticity/competitive_kernels.py",
    PACKAGE / "plasticity/conv_kernels.py",
]
ENGINE = "engine/"
SUBSET = (
    "kernels/test_spike_lists.py",
    f"{ENGINE}test_engine_oracle.py::test_any_stack",
    f"{ENGINE}test_engine_oracle.py::test_every_reset_with_every_surrogate",
    f"{ENGINE}test_engine_inputs.py::test_an_input_constant_in_time",
    f"{ENGINE}test_engine_memory.py::test_no_uninitialised_memory_is_read",
    f"{ENGINE}test_engine_memory.py::test_no_uninitialised_memory_is_read_with_other_inputs",
    f"{ENGINE}test_convolution.py::test_it_is_torchs_convolution",
    f"{ENGINE}test_separable.py::test_the_same_gradient_written_out",
    f"{ENGINE}test_separable.py::test_behind_dropout",
    "plasticity/test_competition.py::test_the_layer_does_what_its_equations_say",
    "plasticity/test_conv_stdp.py::test_features_do_what_their_description_says",
    "encoding/test_bernoulli_words.py::test_bits_are_the_spikes_of_each_image_alone",
    "encoding/test_encoder_paths.py::test_rate_spikes_do_not_depend_on_the_path",
    "encoding/test_encoder_paths.py::test_latency_spikes_do_not_depend_on_the_path",
    "encoding/test_encoder_paths.py::test_pixels_out_of_range_are_refused_on_either_path",
)
ASIDE = "not large and not dtype1"
"""What takes long, and what runs the same lines in another precision."""
SETTINGS = """
[run]
branch = true
source = spikemnist
[report]
exclude_also = if by_team
"""
"""Where nothing is compiled there are no teams."""


def test_without_compilation_the_kernels_do_the_same(tmp_path: Path) -> None:
    settings, data = tmp_path / "settings", tmp_path / "data"
    settings.write_text(SETTINGS, encoding="utf-8")
    measure = ["coverage", "run", f"--rcfile={settings}", f"--data-file={data}"]
    chosen = [str(TESTS / name) for name in SUBSET]
    run = subprocess.run(
        [sys.executable, "-m", *measure, "-m", "pytest", "-qx", "-n", "0", "-k", ASIDE, *chosen],
        env=environment(),
        cwd=TESTS.parent,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert " passed" in run.stdout
    found = coverage.Coverage(data_file=str(data), config_file=str(settings))
    found.load()
    add_to_the_measurement_in_progress(found)
    assert list(lines_not_run(found)) == []


def environment() -> dict[str, str]:
    """Return the environment of an interpreter that compiles nothing, and measures for itself."""
    aside = {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "PYTEST_ADDOPTS"}
    kept = {name: value for name, value in os.environ.items() if name not in aside}
    return {**kept, "NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1"}


def add_to_the_measurement_in_progress(found: coverage.Coverage) -> None:
    """Let these lines count where the tests as a whole are measured."""
    measuring = coverage.Coverage.current()
    if measuring is not None:
        measuring.get_data().update(found.get_data())


def lines_not_run(found: coverage.Coverage) -> Iterator[str]:
    total = 0
    for file in KERNELS:
        _, statements, _, missing, _ = found.analysis2(str(file))
        lines = set(kernel_lines(file))
        total += len(lines & set(statements))
        for line in sorted(lines & set(missing)):
            yield f"{file.relative_to(PACKAGE).as_posix()}:{line}"
    assert total > 300, "the kernels must be found"


def kernel_lines(file: Path) -> Iterator[int]:
    """Yield the lines of what is compiled, and of what NumPy does in the place of LLVM code."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    replaced = {
        call.args[0].id
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "lowered"
        if isinstance(call.args[0], ast.Name)
    }
    for function in functions:
        decorators = {ast.unparse(one) for one in function.decorator_list}
        compiled = {"kernel", "inlined", "routine", "elementwise"}
        if function.name in replaced or decorators & compiled:
            yield from range(function.body[0].lineno, function.end_lineno + 1)

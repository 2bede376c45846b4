"""Kernels for Apple's GPU: their text is compiled as C++ and compared with the reference.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given

from spikemnist import LeakyMLP, ops
from spikemnist.fused import metal_scan
from tests.fused.fused_leaky import SINGLE, fused_leaky
from tests.ops.oracle import answer, assert_same, our_leaky
from tests.strategies import leaky_problem, leaky_problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.strategies import LeakyProblem

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a long has 32 bits on Windows")

COMPILERS = [name for name in ("g++", "clang++") if shutil.which(name)] or ["c++"]

# What Metal has and C++ has not.
PRELUDE = """
#include <cmath>
#define EXP(x) std::exp(x)
#define NUMBER {number}
#define kernel extern "C"
#define device
#define constant const
typedef unsigned int uint;
"""

metal_leaky = partial(fused_leaky, "metal")


class Library:
    """What `torch.mps.compile_shader` returns, of a library of C++: kernels, thread by thread."""

    def __init__(self, file: Path) -> None:
        self._library = ctypes.CDLL(str(file))

    def __getattr__(self, name: str) -> Any:
        return partial(self._run, getattr(self._library, name))

    def _run(self, kernel: Any, *arguments: torch.Tensor | float, threads: int) -> None:
        given = [_argument(value) for value in arguments]
        for index in range(threads):
            kernel(*given, ctypes.c_uint(index))


def _argument(value: torch.Tensor | float) -> Any:
    if isinstance(value, torch.Tensor):
        return ctypes.c_void_p(value.data_ptr())
    number = ctypes.c_float(value) if isinstance(value, float) else ctypes.c_int64(value)
    return ctypes.byref(number)


@pytest.fixture(scope="module", params=COMPILERS, autouse=True)
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Compile the text of the kernels by a compiler of C++, and put it in Metal's place."""
    folder = tmp_path_factory.mktemp("metal")
    text = metal_scan.source("float")
    code = text[text.index("// The scan of one neuron") :]
    file = folder / "kernels.cpp"
    file.write_text(PRELUDE.format(number="float") + code, encoding="utf-8")
    strict = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-attributes"]
    strict += ["-Wno-unknown-attributes", "-ffp-contract=off", "-shared", "-fPIC"]
    library = folder / "kernels.so"
    subprocess.run([request.param, *strict, file, "-o", library], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metal_scan, "_library", lambda dtype: Library(library))
        yield


@given(leaky_problems())
def test_any_problem(problem: LeakyProblem) -> None:
    single = problem.to(torch.float32)
    found, expected = answer(metal_leaky, single), answer(our_leaky, single)
    assert_same(found, expected, tolerance=SINGLE)
    if problem.spike_grad not in ("sigmoid", "spike_rate_escape"):
        # To the bit, but for beta: the reference's sum over time fuses products and sums.
        for name in ("current", "threshold", "initial"):
            if found.gradients.get(name) is not None:
                torch.testing.assert_close(
                    found.gradients[name], expected.gradients[name], rtol=0, atol=0
                )


@pytest.mark.parametrize("surrogate", sorted(ops.SURROGATES))
@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("loss_on", [("spikes",), ("membrane",)])
def test_each_reset_and_surrogate(
    reset_mechanism: str, surrogate: str, loss_on: tuple[str, ...]
) -> None:
    problem = leaky_problem((6, 2, 50), reset_mechanism=reset_mechanism, spike_grad=surrogate)
    single = problem.to(torch.float32)
    found, expected = answer(metal_leaky, single, loss_on), answer(our_leaky, single, loss_on)
    assert_same(found, expected, tolerance=SINGLE)


def test_the_text_of_each_type() -> None:
    for number in metal_scan.NUMBERS.values():
        text = metal_scan.source(number)
        assert f"#define NUMBER {number}\n" in text
        assert text.index("metal_stdlib") < text.index("scan_forward") < text.index("kernel void")


def test_kernels_pass_on_their_arguments_in_order() -> None:
    """All are pointers and whole numbers, which the compiler does not tell from each other."""
    text = metal_scan.source("float")
    for name in ("forward", "backward"):
        taken = re.search(rf"kernel void {name}\((.*?)\)\s*{{\s*scan_{name}\((.*?)\);", text, re.S)
        declared = re.search(rf"void scan_{name}\((.*?)\)\s*{{", text, re.S)
        assert taken is not None
        assert declared is not None
        names = [re.findall(r"\w+", each.split("[[")[0])[-1] for each in taken[1].split(",")]
        passed = re.findall(r"\w+", taken[2])
        wanted = [re.findall(r"\w+", each)[-1] for each in declared[1].split(",")]
        assert [names[-1], *names[:-1]] == passed == wanted


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac can have the device")
def test_a_model_that_is_not_on_the_device_is_refused() -> None:
    model = LeakyMLP(20, (10,), backend="metal")
    with pytest.raises(ValueError, match="it runs on MPS, and the model is on cpu"):
        model(torch.rand(3, 2, 20))

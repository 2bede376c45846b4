"""Kernels for processors with fewer or narrower vector registers than this one may have."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist.kernels.registers import Processor
from tests.kernels.assembly import assembly, innermost_loops, run
from tests.kernels.processes import lines, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

NEON = Processor.of("arm64-apple-darwin23", "+neon,+fp-armv8")
AVX2 = Processor.of("x86_64-pc-windows-msvc", "+avx,+avx2,-avx512f")
SSE = Processor.of("x86_64-unknown-linux-gnu", "+sse2,-avx")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Processor], Path]:
    """Return the function that compiles for a processor, and returns the folder of the code."""

    @functools.cache
    def compile_for(processor: Processor) -> Path:
        folder = tmp_path_factory.mktemp("compiled")
        environment = {"NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(folder)}
        numbers = map(str, map(int, processor))
        lines(start("-m", "tests.kernels.assembly", folder, *numbers, environment=environment))
        return folder

    return compile_for


def test_registers_are_those_of_the_target() -> None:
    assert NEON == (16, 32, False)
    assert AVX2 == (32, 16, True)
    assert SSE == (16, 16, True)
    assert Processor.of("x86_64-unknown-linux-gnu", "+avx,+avx512f,+avx512vl") == (64, 32, True)
    assert Processor.of("powerpc64le-unknown-linux-gnu", "+vsx") == (16, 16, False)


@pytest.mark.parametrize("processor", [NEON, AVX2], ids=["NEON", "AVX2"])
def test_their_size_changes_no_bit(
    compiled: Callable[[Processor], Path], processor: Processor
) -> None:
    there = torch.load(compiled(processor) / "found.pt")
    for left, right in zip(there, run(), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize(
    ("processor", "name"), [(NEON, "apple-m1"), (NEON, "neoverse-n1"), (AVX2, "haswell")]
)
def test_inner_loops_spill_no_vector(
    compiled: Callable[[Processor], Path], processor: Processor, name: str
) -> None:
    found, spilled = 0, {}
    for file in sorted(compiled(processor).glob("*.ll")):
        for loop in innermost_loops(assembly(file.read_text(encoding="utf-8"), name)):
            # A loop that calls a function gives up its registers.
            found += not loop.calls
            if loop.spills and not loop.calls:
                spilled[file.stem] = loop.spills
    assert spilled == {}
    assert found > 30

"""``python -m benchmarks.compilation`` on a function that takes no time."""

from __future__ import annotations

from typing import Any

import numba
import pytest

from benchmarks import compilation


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_seconds_and_instructions_of_a_function_with_a_piece() -> None:
    @numba.njit  # type: ignore[untyped-decorator]
    def double(number: Any) -> Any:
        return 2 * number

    @numba.njit  # type: ignore[untyped-decorator]
    def quadruple(number: Any) -> Any:
        return double(double(number))

    with compilation.metered() as compiled:
        assert [quadruple(1), quadruple(1.5)] == [4, 6]
    assert [one.types for one in compiled] == [(numba.int64,), (numba.float64,)]
    assert all(one.seconds[name] > 0 for one in compiled for name in compilation.COLUMNS)
    names, *_, last = compilation.lines(compiled).splitlines()
    assert names.count("|") == 8
    assert last.startswith("| all |")
    for one in compiled:
        name, *seconds, total, instructions = one.cells()
        assert name == "tests.benchmarks.test_compilation.quadruple"
        assert float(total) == pytest.approx(sum(map(float, seconds)), abs=0.03)
        assert int(instructions) > 5

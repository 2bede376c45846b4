"""How kernels and their pieces are compiled."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import event

from spikemnist.kernels import compiler

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@compiler.inlined
def _double(number: Any) -> Any:
    return 2 * number


@compiler.routine
def _double_all(numbers: Any) -> None:
    for i in range(len(numbers)):
        numbers[i] = _double(numbers[i])


def _run(queue: Any, numbers: Any) -> None:
    _double_all(numbers)


class Collections(event.Listener):  # type: ignore[misc]
    """The garbage collections before and after each pass of the compiler."""

    def __init__(self) -> None:
        self.counts = list[int]()

    def on_start(self, _: Any) -> None:
        self.counts.append(sum(one["collections"] for one in gc.get_stats()))

    on_end = on_start


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A kernel that has never been compiled."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return compiler.kernel(_run)


@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_collected_meanwhile(kernel: Any, enabled: bool) -> None:
    seen, before = Collections(), gc.isenabled()
    event.register("numba:run_pass", seen)
    (gc.enable if enabled else gc.disable)()
    try:
        kernel(np.zeros(1, np.int64), np.ones(3))
        assert gc.isenabled() == enabled
    finally:
        event.unregister("numba:run_pass", seen)
        (gc.enable if before else gc.disable)()
    assert len({*seen.counts}) == 1


def test_an_inlined_piece_has_no_machine_code(kernel: Any) -> None:
    numbers: Any = np.ones(3, np.int16)
    kernel(np.zeros(1, np.int64), numbers)
    assert numbers.tolist() == [2, 2, 2]
    piece: Any = _double
    (compiled,) = (one for kinds, one in piece.overloads.items() if kinds == (numba.int16,))
    engine = compiled.library.codegen._engine
    assert not engine.is_symbol_defined(compiled.fndesc.llvm_func_name)
    with pytest.raises(TypeError):  # where a process without a stand-in would die
        piece(np.int16(1))

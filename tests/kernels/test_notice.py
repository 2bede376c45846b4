"""The notice of a first compilation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from spikemnist._progress import silence
from spikemnist.kernels import cache, compiler
from tests.test_progress import Terminal

NOTICE = "spikemnist: compiling kernels; later runs with the same settings reuse them\n"


def compile_and_load(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """Compile two kernels, and load one of them, as a new process does; return what is printed."""
    patch.setattr(numba.config, "CACHE_DIR", str(folder))
    patch.setattr(sys, "stderr", Terminal())
    cache._announce.cache_clear()

    def double(queue: Any, numbers: Any) -> None:
        numbers *= 2

    for dtype in (np.float32, np.float32, np.float64):
        compiler.kernel(double)(np.zeros(1, np.int64), np.ones(2, dtype))
    return sys.stderr.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_notice_of_a_first_compilation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for visible in (NOTICE, ""):  # the second time from the cache
        assert compile_and_load(tmp_path, monkeypatch) == visible
    with silence():
        assert compile_and_load(tmp_path / "silent", monkeypatch) == ""

"""Freed memory stays in the process while a network is trained, and no longer.

Each measurement has a process of its own, whose memory has no gaps that earlier tests have left.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spikemnist.engine import kept_memory as memory
from spikemnist.engine.kept_memory import kept_memory
from spikemnist.training import TrainConfig, fit
from tests.training.small_runs import PROCESSES, digits, new_classifier

MEBIBYTE = 1 << 20
STATM = Path("/proc/self/statm")


def resident_mebibytes() -> float:
    """Return the memory that the process holds in RAM."""
    pages = int(STATM.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


def left_behind() -> float:
    """Return the mebibytes that stay when a tensor of 256 MiB has been freed."""
    before = resident_mebibytes()
    torch.ones(64 * MEBIBYTE)
    return resident_mebibytes() - before


def left_behind_by_several() -> list[float]:
    """Return what the first and the last of several tensors leave behind.

    The second may not fit into the gap of the first, where something else has been put beside it.
    """
    actual = [left_behind() for _ in range(5)]
    return [actual[0], actual[-1]]


def in_the_context() -> list[float]:
    """Return what the first and the last tensor leave behind, and what is left after an error."""
    before, actual = resident_mebibytes(), []
    with contextlib.suppress(RuntimeError), kept_memory():
        actual = left_behind_by_several()
        raise RuntimeError
    return [*actual, resident_mebibytes() - before]


def in_fit() -> list[float]:
    actual: list[float] = []

    def measure(*_: object) -> None:
        actual.extend(left_behind_by_several())

    fit(new_classifier(), digits(), TrainConfig(epochs=1))  # which loads the kernels
    before = resident_mebibytes()
    fit(new_classifier(), digits(), TrainConfig(epochs=1), callbacks=[measure])
    return [*actual, resident_mebibytes() - before]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has such a setting")
@pytest.mark.parametrize("measure", [in_the_context, in_fit])
def test_a_tensor_has_the_memory_of_an_earlier_one(measure: Callable[[], list[float]]) -> None:
    with ProcessPoolExecutor(1, mp_context=PROCESSES) as processes:
        first, last, afterwards = processes.submit(measure).result()
    assert first > 200
    assert last < 16
    assert afterwards < 64


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "ctypes", None)
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform="darwin"))
    with kept_memory():
        assert torch.ones(3).sum() == 3

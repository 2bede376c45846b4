"""Freed memory stays in the process while a network is trained, and no longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from spikemnist.training import TrainConfig, fit, memory
from spikemnist.training.memory import kept_memory
from tests.training.small_runs import digits, new_classifier

MEBIBYTE = 1 << 20
STATM = Path("/proc/self/statm")

with_glibc = pytest.mark.skipif(memory._glibc() is None, reason="only glibc has such a setting")


def resident_mebibytes() -> float:
    """Return the memory that the process holds in RAM."""
    pages = int(STATM.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


def left_behind() -> float:
    """Return the mebibytes that stay when a tensor of 256 MiB has been freed."""
    before = resident_mebibytes()
    torch.ones(64 * MEBIBYTE)
    return resident_mebibytes() - before


@with_glibc
def test_freed_memory_stays_inside_the_context() -> None:
    before = resident_mebibytes()
    with kept_memory():
        assert left_behind() > 200
        assert left_behind() < 16  # the second tensor has the memory of the first
    assert resident_mebibytes() < before + 64
    assert left_behind() < 64


@with_glibc
def test_an_error_returns_it_as_well() -> None:
    with pytest.raises(RuntimeError, match="stop"), kept_memory():
        raise RuntimeError("stop")
    assert left_behind() < 64


@with_glibc
def test_fit_keeps_it() -> None:
    found = []
    config = TrainConfig(epochs=1)
    fit(new_classifier(), digits(), config, callbacks=[lambda *_: found.append(left_behind())])
    assert found[0] > 200
    assert left_behind() < 64


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with kept_memory():
        assert torch.ones(3).sum() == 3

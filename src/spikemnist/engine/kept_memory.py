"""Memory that the process keeps while a network is trained.

Each training step allocates the same tensors of some megabytes. glibc, the C library of most Linux
systems, returns them to the system when they are freed, and the system hands out the next ones page
by page, cleared. This can take as long as a third of the step of a convolutional network. Other C
libraries have no such setting.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Settings of ``mallopt``, by the names and numbers of glibc's ``malloc.h``."""

MEBIBYTE = 1 << 20

WHILE_KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: (1 << 31) - 1}
"""All blocks lie in the heap, and its end is returned only if more than 2 GiB of it are free."""

AFTERWARDS = {MMAP_MAX: 65_536, MMAP_THRESHOLD: 32 * MEBIBYTE, TRIM_THRESHOLD: 64 * MEBIBYTE}
"""What glibc's thresholds have become by themselves once blocks of that size have been freed."""


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory in the process inside this context, for the next tensors; then return it.

    Without glibc it does nothing. The process keeps the thresholds of afterwards.
    """
    glibc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(glibc, "gnu_get_libc_version"):
        yield
        return
    for name, value in WHILE_KEPT.items():
        glibc.mallopt(name, value)
    try:
        yield
    finally:
        for name, value in AFTERWARDS.items():
            glibc.mallopt(name, value)
        glibc.malloc_trim(0)

"""On what a benchmark ran, and what other programs took of it: figures mean little without."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("spikemnist", "torch", "snntorch", "numpy", "numba")

QUIET = 0.9
"""Least share of the processors with which a machine does nothing else."""
PROBE_SECONDS = 0.2 if sys.platform == "win32" else 0.04
"""Length of a look at the load. Windows counts the time of a process in ticks of 16 ms."""
PROBE_BYTES = bytes(2**22)
"""Hashed again and again meanwhile: some 10 ms each time, without the interpreter's lock."""


def describe_machine(packages: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return processor, threads, load, system and versions in plain values.

    Parameters
    ----------
    packages
        Whose versions to add to those of this package and what it rests on; one that is not
        installed is left out.

    Examples
    --------
    >>> machine = describe_machine()
    >>> machine["threads"] == torch.get_num_threads()
    True
    """
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vector": torch.backends.cpu.get_cpu_capability(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "share": processor_share(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            name: found for name in (*PACKAGES, *packages) if (found := _version(name)) is not None
        },
    }


def processor_share() -> float:
    """Return the share of the processors that this process gets when it asks for all of them.

    As many threads as torch has work for a moment, and their processor time is compared with the
    time that passed: 1 on a machine that does nothing else, 0.5 beside a program that wants as
    much. Unlike the load average it is of this moment, leaves out this process, knows the limits
    of a container, and is there on Windows.

    Examples
    --------
    >>> 0 < processor_share() < 1.5
    True
    """
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            hashlib.sha256(PROBE_BYTES)

    workers = [threading.Thread(target=work) for _ in range(torch.get_num_threads())]
    for worker in workers:
        worker.start()
    wall, processor = time.perf_counter(), time.process_time()
    time.sleep(PROBE_SECONDS)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    done.set()
    for worker in workers:
        worker.join()
    return processor / (wall * len(workers))


def others_took(share: float) -> str:
    """Return what other programs took of the processors; nothing on a quiet machine.

    Examples
    --------
    >>> others_took(0.4), others_took(0.97)
    ('other programs took 60 % of the processors', '')
    """
    return (
        "" if share >= QUIET else f"other programs took {100 * (1 - share):.0f} % of the processors"
    )


def _processor() -> str:
    """Return the name of the processor; Linux keeps it where `platform` does not look."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

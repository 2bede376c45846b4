"""On what a benchmark ran: figures mean little without it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("spikemnist", "torch", "snntorch", "numpy", "numba")


def describe_machine(packages: tuple[str, ...] = ()) -> dict[str, object]:
    """Return processor, threads, system and versions in plain values.

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
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            name: found for name in (*PACKAGES, *packages) if (found := _version(name)) is not None
        },
    }


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

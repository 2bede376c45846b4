"""Description of the machine, without which benchmark results mean little."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import processor_share
from spikemnist import __version__

PACKAGES = (
    "torch",
    "snntorch",
    "numpy",
    "numba",
    "spikingjelly",
    "norse",
    "sinabs",
    "bindsnet",
)


def describe_machine() -> dict[str, Any]:
    """Return processor, threads, load, system and versions, including those of installed peers.

    Examples
    --------
    >>> describe_machine()["threads"] == torch.get_num_threads()
    True
    """
    packages = {"spikemnist": __version__}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "vector": torch.backends.cpu.get_cpu_capability(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "share": processor_share(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": packages,
    }


def _processor() -> str:
    """Return the name of the processor; `platform` does not find it on Linux."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()

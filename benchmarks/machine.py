"""Description of the machine, without which benchmark figures mean little."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spikemnist.cli import timing

PACKAGES = ("spikingjelly", "norse", "sinabs", "spyx", "jax", "bindsnet")
"""Packages of the peers."""


def describe_machine() -> dict[str, Any]:
    """Return processor, threads, load, system and versions, including those of installed peers."""
    machine = timing.describe_machine()
    for name in PACKAGES:
        try:
            machine["packages"][name] = version(name)
        except PackageNotFoundError:
            continue
    return machine

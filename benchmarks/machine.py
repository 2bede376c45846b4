"""The machine of a benchmark: figures mean little without it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spikemnist.cli import timing

PACKAGES = ("spikingjelly", "norse", "sinabs", "spyx", "jax", "bindsnet")
"""Of the peers."""


def describe_machine() -> dict[str, Any]:
    """Return processor, threads, load, system and versions, those of the peers installed too."""
    machine = timing.describe_machine()
    for name in PACKAGES:
        try:
            machine["packages"][name] = version(name)
        except PackageNotFoundError:
            continue
    return machine

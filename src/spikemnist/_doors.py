"""Doors from the core to the rooms beyond it, any of which may be taken off.

A room is a package, or a module, of `spikemnist`. The core names what it takes from a room by a
path, such as ``"spikemnist.energy.initial_rates.start_from_data"``, in a table, and imports it on
first use. Nothing else in the core leads out of it: see docs/design.md.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any


def room_of(path: str) -> str:
    """Return the room of a path: ``"spikemnist.energy"``."""
    return ".".join(path.split(".")[:2])


def is_installed(path: str) -> bool:
    """Return whether the room of a path is installed."""
    return _has_room(room_of(path))


@functools.cache
def _has_room(room: str) -> bool:
    return importlib.util.find_spec(room) is not None


def missing_room(path: str) -> str:
    """Return the sentence that says which room is missing."""
    return f"{room_of(path)} is missing in this installation"


def import_object(path: str) -> Any:
    """Import and return what a path names.

    Raises
    ------
    ImportError
        If its room is missing.
    """
    if not is_installed(path):
        raise ImportError(missing_room(path))
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)

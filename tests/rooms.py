"""Cases that a room adds to the tests of others, from a file ``cases.py`` in its own folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

ROOMS = sorted(file.parent.name for file in Path(__file__).parent.glob("*/cases.py"))


def of_rooms(name: str) -> list[Any]:
    """Return the cases of this name of all rooms that are there."""
    files = [import_module(f"tests.{room}.cases") for room in ROOMS]
    return [case for file in files for case in getattr(file, name, ())]

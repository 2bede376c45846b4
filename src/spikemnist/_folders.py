"""The user's cache folder, for files that can be made or downloaded again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """Return the user's cache folder, which need not exist yet.

    Raises
    ------
    RuntimeError
        If the user has no home folder.
    """
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        base = Path(local) if local else Path.home() / "AppData" / "Local"
        return base / "spikemnist" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "spikemnist"
    # The XDG specification says to ignore relative values.
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "spikemnist"

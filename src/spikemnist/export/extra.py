"""Packages that only export formats need, installed by the extra ``export``."""

from __future__ import annotations

import importlib.util
from typing import Any


def require(module: str, format_name: str) -> Any:
    """Import a package that a format needs.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; the message has the command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        text = f'{format_name} needs the package {module}: pip install "spikemnist[export]"'
        raise ModuleNotFoundError(text, name=module)
    return importlib.import_module(module)
